"""Logs for machines: one JSON object a line, made of facts that were chosen, so no identifier can slip in.

A record's text is the fixed text in the code; values stand in ``extra={"facts": {...}}``. Texts of exceptions, and
whatever foreign libraries say, may quote a header, so they are not written: of foreign records only logger and level.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from datetime import UTC, datetime

OWN = "spondyl"
"""Loggers whose words are ours."""

TALKATIVE = ("pynetdicom", "pydicom", "highdicom", "dbos", "dicomweb_client", "httpx", "httpcore", "urllib3")
"""Libraries that log what they handle; only their errors are noted, without words."""


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON."""

    def __init__(self) -> None:
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        """Give the line of a record.

        Parameters
        ----------
        record : LogRecord
            Of ours or of a library.

        Returns
        -------
        str
            JSON without line breaks.
        """
        at = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "at": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if record.name.split(".", maxsplit=1)[0] == OWN:
            line["message"] = str(record.msg)
            line |= getattr(record, "facts", {})
        if record.exc_info and record.exc_info[0] is not None:
            line["kind"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=False, default=str)


def log_as_json(level: int = logging.INFO) -> None:
    """Have everything that this process logs go to stderr as lines of JSON.

    Parameters
    ----------
    level : int
        Least level of our own records; of libraries only warnings and worse.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OWN).setLevel(level)
    for name in TALKATIVE:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.setLevel(logging.ERROR)
        library.propagate = True
    warnings.simplefilter("ignore")  # the DICOM library's quote values
