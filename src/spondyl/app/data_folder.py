"""The data folder of a node: where a study, its result and what was refused lie, and what they are called.

No name here comes from outside. A study is called by a keyed hash of its StudyInstanceUID and an instance by one of
its SOPInstanceUID, so that neither a path-like UID nor a patient's name can reach the file system, and nobody without
the key can tell from a folder which study it holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from spondyl.core import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spondyl.app.serve_settings import ServeSettings

KEY_BYTES = 32
"""Length of the key, in bytes: that of the hash (RFC 2104 section 3)."""

KEY_DIGITS = 24
"""Hexadecimal digits of a study key: 96 bits, no collision to be expected in any archive."""

STUDY_KEY = re.compile(rf"[0-9a-f]{{{KEY_DIGITS}}}")
"""What a study key looks like."""


@dataclass(frozen=True)
class DataFolder:
    """The data folder of a node.

    Parameters
    ----------
    root : Path
        The folder; made when first needed, readable by its owner alone.
    """

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(os.path.abspath(self.root)))  # noqa: PTH100 - keeps symbolic links

    def make(self) -> DataFolder:
        """Make the folder and its parts where they are missing.

        Returns
        -------
        DataFolder
            This one.
        """
        for folder in (self.root, self.studies, self.quarantine, self.scratch):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self

    @property
    def studies(self) -> Path:
        """Folder of all studies."""
        return self.root / "studies"

    @property
    def quarantine(self) -> Path:
        """Folder of what was refused, with the reasons."""
        return self.root / "quarantine"

    @property
    def scratch(self) -> Path:
        """Folder of files that are not complete yet; on the same disk, so that moving one is one step."""
        return self.root / "scratch"

    @cached_property
    def _key(self) -> bytes:
        return secret_file(self.root / "key", secrets.token_bytes(KEY_BYTES))

    def study_key(self, study_uid: str) -> str:
        """Give a study its key.

        Parameters
        ----------
        study_uid : str
            StudyInstanceUID.

        Returns
        -------
        str
            Always the same for one study in one data folder; the UID cannot be told from it.
        """
        return hmac.new(self._key, study_uid.encode(), hashlib.sha256).hexdigest()[:KEY_DIGITS]

    def instance_name(self, instance_uid: str) -> str:
        """Give an instance its file name.

        Parameters
        ----------
        instance_uid : str
            SOPInstanceUID.

        Returns
        -------
        str
            Ending in ``.dcm``.
        """
        return hmac.new(self._key, b"instance " + instance_uid.encode(), hashlib.sha256).hexdigest()[:32] + ".dcm"

    def study(self, study_key: str) -> Path:
        """Give the folder of a study.

        Parameters
        ----------
        study_key : str
            As from `study_key`.

        Returns
        -------
        Path
            It need not exist.

        Raises
        ------
        InputError
            If that is no study key, and so might be a path.
        """
        if not STUDY_KEY.fullmatch(study_key):
            msg = f"expected a study key of {KEY_DIGITS} hexadecimal digits, got something else; take it from the list"
            raise InputError(msg)
        return self.studies / study_key

    def incoming(self, study_key: str) -> Path:
        """Give the folder of a study's instances as they came.

        Parameters
        ----------
        study_key : str
            As from `study_key`.

        Returns
        -------
        Path
            It need not exist.
        """
        return self.study(study_key) / "incoming"

    def result(self, study_key: str) -> Path:
        """Give the folder of a study's result, as ``spondyl analyze`` writes it.

        Parameters
        ----------
        study_key : str
            As from `study_key`.

        Returns
        -------
        Path
            It need not exist.
        """
        return self.study(study_key) / "result"

    def prior(self, study_key: str) -> Path:
        """Give the folder of the images of the prior that a study is compared with.

        Parameters
        ----------
        study_key : str
            Of the study that has the prior.

        Returns
        -------
        Path
            It need not exist.
        """
        return self.study(study_key) / "prior"

    def asked_for(self, study_key: str) -> Path:
        """Give the folder where images lie for a while that an archive brought because this node asked.

        Parameters
        ----------
        study_key : str
            Of the study that they belong to.

        Returns
        -------
        Path
            It need not exist.
        """
        return self.scratch / f"asked-{self.study(study_key).name}"

    def token(self, given: str = "") -> str:
        """Give the secret that machines show.

        Parameters
        ----------
        given : str
            From the settings; if empty, the one in the file ``token`` is used and made where it is missing.

        Returns
        -------
        str
            The secret.
        """
        return given or secret_file(self.root / "token", secrets.token_urlsafe(KEY_BYTES).encode()).decode()


def secret_file(path: Path, fresh: bytes) -> bytes:
    """Read a secret, or keep a fresh one where there is none; of many processes at once, one decides.

    Parameters
    ----------
    path : Path
        The file; readable by its owner alone.
    fresh : bytes
        What to keep if there is none.

    Returns
    -------
    bytes
        The secret that is in the file.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(fresh)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # fails if another process was faster
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes()


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, however that ends; whoever else wants it waits.

    Parameters
    ----------
    path : Path
        The file that stands for the lock; made where it is missing.

    Yields
    ------
    None
        Nobody else holds it meanwhile, on any machine whose file system knows locks.
    """
    with path.open("w") as file:
        with contextlib.suppress(ImportError, OSError):  # no such locks on Windows and on some network drives
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def expect_node(settings: ServeSettings) -> None:
    """See that there is a node to look at, since looking must not make one.

    Parameters
    ----------
    settings : ServeSettings
        Name the data folder and the database.

    Raises
    ------
    InputError
        If the data folder or its database is not there.
    """
    _, is_file, file = settings.database.partition("sqlite:///")
    if not settings.data.is_dir() or (is_file and not Path(file).is_file()):
        msg = "expected the data folder of a node, the one given does not exist or holds none; give it with --data"
        raise InputError(msg)
