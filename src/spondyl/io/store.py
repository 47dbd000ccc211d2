"""Results appear whole or not at all.

Everything is written into a hidden folder beside the one asked for and moved into place by renaming, which a file
system does in one step. Whatever goes wrong before that, a full disk, an interrupt, a defect, leaves what was there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from spondyl.core import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

RESULT_MARK = "result.json"
"""The file by which a folder is known to hold a Spondyl result."""

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EACCES: "writing there is not permitted; choose another folder or change its permissions",
    errno.EPERM: "writing there is not permitted; choose another folder or change its permissions",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EEXIST: "a part of the path is a file; choose another folder",
    errno.ENOTDIR: "a part of the path is a file; choose another folder",
    errno.ENAMETOOLONG: "the path is too long; choose a shorter one",
}


class OutputFolder:
    """A folder that is filled out of sight and moved into place at the end.

    Parameters
    ----------
    path : Path or str
        The folder wanted. It may not exist yet, be empty, or hold an earlier Spondyl result, which is replaced at
        the end; any other folder is refused.
    mark : str, optional
        Name of the file that tells a Spondyl result from other folders.

    Raises
    ------
    OutputError
        From the ``with`` statement: if the path is a file or a foreign folder, or writing fails.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "result"
    >>> with OutputFolder(target) as folder:
    ...     _ = (folder / "result.json").write_text("{}")
    >>> sorted(f.name for f in target.iterdir())
    ['result.json']
    """

    def __init__(self, path: Path | str, *, mark: str = RESULT_MARK) -> None:
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 - keeps symbolic links, which resolve() would follow
        self.mark = mark
        self._temporary: Path | None = None

    def __enter__(self) -> Path:
        self._refuse_foreign()
        with _explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._temporary = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", suffix=".part", dir=self.path.parent))
            # mkdtemp makes it private; the result is as readable as any other new folder.
            mask = os.umask(0)
            os.umask(mask)
            self._temporary.chmod(0o777 & ~mask)
        return self._temporary

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                with _explained(self.path):
                    self._move_into_place()
        finally:
            if self._temporary is not None:
                shutil.rmtree(self._temporary, ignore_errors=True)
        cause = _system_error(error)
        if cause is not None and cause.errno in _REASONS and self._is_ours(cause):
            msg = _message(self.path, cause)
            raise OutputError(msg) from error

    def _refuse_foreign(self) -> None:
        with _explained(self.path):
            if self.path.is_file():
                msg = f"the output must be a folder, got the file {self.path.name}; choose another name"
                raise OutputError(msg)
            if self.path.is_dir() and any(self.path.iterdir()) and not (self.path / self.mark).is_file():
                msg = (
                    f"the output folder {self.path.name} holds other files and no Spondyl result; "
                    "choose a new or empty folder"
                )
                raise OutputError(msg)
            if self.path.is_dir() and not os.access(self.path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def _is_ours(self, error: OSError) -> bool:
        """Say whether an error came from writing here; a full disk has no file name."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or error.filename is None:
            return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        return self._temporary is not None and self._temporary in Path(os.fsdecode(error.filename)).parents

    def _move_into_place(self) -> None:
        if self._temporary is None:
            return
        if not self.path.exists():
            self._temporary.replace(self.path)
            self._temporary = None
            return
        aside = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", suffix=".old", dir=self.path.parent))
        try:
            previous = self.path.replace(aside / "previous")
            try:
                self._temporary.replace(self.path)
            except BaseException:
                previous.replace(self.path)
                raise
            self._temporary = None
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def save(dataset: object, path: Path) -> Path:
    """Write a DICOM object as a file.

    Parameters
    ----------
    dataset : pydicom.Dataset
        With file meta information.
    path : Path
        The file to write.

    Returns
    -------
    Path
        The same path.
    """
    dataset.save_as(path, enforce_file_format=True)  # type: ignore[attr-defined]
    return path


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = _message(path, error)
        raise OutputError(msg) from error


def _system_error(error: BaseException | None) -> OSError | None:
    """Find what the operating system said; pydicom wraps it into an error of its own without the number."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error
        error = error.__cause__ or error.__context__ if isinstance(error, OSError) else None
    return None


def _message(path: Path, error: OSError) -> str:
    reason = _REASONS.get(error.errno or 0, f"{type(error).__name__}; choose another folder")
    return f"the results cannot be written to the folder {path.name}: {reason}"
