"""Find the files of a study: in a folder of any depth, a zip archive, behind a DICOMDIR, or a single file.

File and folder names often hold a patient's name, so nothing here puts one into a message: a file is named by its
number in the sorted listing. Archives are unpacked under names of our own into a temporary folder that is removed
again, which makes paths inside the archive harmless.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spondyl.core import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_FILES = 100_000
"""Most files looked at in one study; a five-sequence spine study has a few hundred. Chosen by us."""

MAX_UNPACKED_BYTES = 8 * 1024**3
"""Most bytes an archive may unpack to, 8 GiB: ten times a large spine study. Chosen by us."""

MAX_COMPRESSION_RATIO = 1100
"""Largest unpacked-to-packed ratio of an archive; deflate itself ends near 1030 (zlib technical details, zlib.net)."""

RATIO_CHECKED_FROM_BYTES = 256 * 1024**2
"""Archives that unpack to less than this, in bytes, are not judged by their ratio: empty slices pack very well."""

NIFTI_SUFFIXES = (".nii", ".nii.gz")
"""Names of NIfTI files end like this (NIfTI-1 data format, https://nifti.nimh.nih.gov/nifti-1)."""

IGNORED_NAMES = frozenset({".ds_store", "thumbs.db", "desktop.ini", "autorun.inf", "lockfile", "version"})
"""Files that operating systems and export tools leave behind, in lower case; nobody misses them."""


@dataclass(frozen=True)
class SetAside:
    """Something in the input that is not analyzed, and why.

    Parameters
    ----------
    what : str
        Series number and UID, or the file's number in the folder's listing.
    reason : str
        One sentence.
    remedy : str
        What the user can do, or that nothing is needed.
    """

    what: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class StudyFile:
    """One file of a study.

    Parameters
    ----------
    number : int
        Its number in the sorted listing, from 1.
    path : Path
        Where it can be read.
    name : str
        Its name in the study, to look for sequence words; it may hold a patient's name and is never shown.
    """

    number: int
    path: Path
    name: str

    @property
    def where(self) -> str:
        """How messages name this file."""
        return f"file {self.number} of the folder's listing"

    @property
    def is_nifti(self) -> bool:
        """Whether its name is that of a NIfTI file."""
        return self.name.lower().endswith(NIFTI_SUFFIXES)


@contextmanager
def open_study(path: Path) -> Iterator[tuple[tuple[StudyFile, ...], tuple[SetAside, ...]]]:
    """Give the files of a study; what an archive needed on disk is removed on leaving.

    Parameters
    ----------
    path : Path
        A folder, a zip archive, a DICOMDIR file or a single file.

    Yields
    ------
    files : tuple of StudyFile
        What there is to read, in the order of the listing.
    set_aside : tuple of SetAside
        What was refused already.

    Raises
    ------
    InputError
        If there is no such path, it cannot be read, it is empty, or an archive would unpack beyond bounds.
    """
    with tempfile.TemporaryDirectory(prefix="spondyl-") as scratch:
        try:
            files, set_aside = _find(path, Path(scratch))
        except OSError:  # its text holds the path, which may hold a name
            msg = "expected a readable study; the path given cannot be opened. Check its permissions and the disk"
            raise InputError(msg) from None
        if not files:
            msg = "expected DICOM or NIfTI files, got none: the study given is empty. Check the path"
            raise InputError(msg)
        yield files, set_aside


def _find(path: Path, scratch: Path) -> tuple[tuple[StudyFile, ...], tuple[SetAside, ...]]:
    if not path.exists():
        msg = "expected a DICOM folder, zip, DICOMDIR or NIfTI file; the path given does not exist. Check its spelling"
        raise InputError(msg)
    if path.is_dir():
        return _numbered((p, str(p.relative_to(path))) for p in walk(path)), ()
    if path.name.upper() == "DICOMDIR":
        return _from_dicomdir(path)
    if zipfile.is_zipfile(path):
        return _unzip(path, scratch)
    return (StudyFile(1, path, path.name),), ()


def _numbered(found: Iterable[tuple[Path, str]]) -> tuple[StudyFile, ...]:
    return tuple(StudyFile(n, path, name) for n, (path, name) in enumerate(found, 1))


def walk(folder: Path) -> list[Path]:
    """List the files under a folder, sorted; each real folder is entered once, so links cannot make a loop.

    Parameters
    ----------
    folder : Path
        Where to begin.

    Returns
    -------
    list of Path
        Regular files, without what operating systems leave behind.

    Raises
    ------
    InputError
        If there are more than `MAX_FILES`.
    """
    found: list[Path] = []
    entered: set[tuple[int, int]] = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        status = Path(here).stat()
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders.sort()
        found += [p for n in names if n.lower() not in IGNORED_NAMES and (p := Path(here, n)).is_file()]
        _check_count(len(found))
    return sorted(found)


def _check_count(n_files: int) -> None:
    if n_files > MAX_FILES:
        msg = f"expected one study of at most {MAX_FILES} files, got more. Give the folder of a single study"
        raise InputError(msg)


def _unzip(path: Path, scratch: Path) -> tuple[tuple[StudyFile, ...], tuple[SetAside, ...]]:
    """Unpack an archive under names of our own, within bounds."""
    files: list[StudyFile] = []
    refused: list[SetAside] = []
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir() and _wanted(m.filename)]
            _check_archive(members, path.stat().st_size)
            for number, member in enumerate(sorted(members, key=lambda m: m.filename), 1):
                target = scratch / f"{number:06d}{_suffix(member.filename)}"
                try:
                    with archive.open(member) as packed, target.open("wb") as unpacked:
                        shutil.copyfileobj(packed, unpacked, 1024**2)
                except (RuntimeError, NotImplementedError, zipfile.BadZipFile, EOFError, ValueError):
                    reason = "This member of the archive is damaged, encrypted or packed in an unknown way."
                    refused.append(SetAside(f"file {number} of the archive", reason, "Pack the study again as a zip."))
                    continue
                files.append(StudyFile(number, target, member.filename))
    except zipfile.BadZipFile:
        msg = "expected a zip archive, got a damaged one. Pack the study again"
        raise InputError(msg) from None
    return tuple(files), tuple(refused)


def _wanted(name: str) -> bool:
    parts = [p.lower() for p in name.replace("\\", "/").split("/")]
    return "__macosx" not in parts and parts[-1] not in IGNORED_NAMES


def _suffix(name: str) -> str:
    return next((s for s in reversed(NIFTI_SUFFIXES) if name.lower().endswith(s)), "")


def _check_archive(members: list[zipfile.ZipInfo], packed_bytes: int) -> None:
    """Refuse an archive that would fill the disk, before anything is written."""
    _check_count(len(members))
    size = sum(m.file_size for m in members)
    bomb = size > RATIO_CHECKED_FROM_BYTES and size > MAX_COMPRESSION_RATIO * max(packed_bytes, 1)
    if size > MAX_UNPACKED_BYTES or bomb:
        msg = (
            f"expected an archive that unpacks to at most {MAX_UNPACKED_BYTES} bytes and {MAX_COMPRESSION_RATIO} times "
            f"its size, got {size} bytes from {packed_bytes}. Unpack it yourself and give the folder"
        )
        raise InputError(msg)


def _from_dicomdir(path: Path) -> tuple[tuple[StudyFile, ...], tuple[SetAside, ...]]:
    """Follow the references of a DICOMDIR (PS3.3 section F.3), never out of its folder."""
    from spondyl.io.dicom import referenced_files

    root = path.parent.resolve()
    # Media are often copied to file systems that changed the case of names.
    by_name = {str(p.relative_to(path.parent)).lower(): p for p in walk(path.parent)}
    files, missing = [], 0
    for parts in referenced_files(path):
        found = by_name.get(str(Path(*parts)).lower())
        if found is None or not found.resolve().is_relative_to(root):
            missing += 1
        else:
            files.append((found, str(found.relative_to(path.parent))))
    reason = f"The DICOMDIR names {missing} files that are not beside it."
    lost = (SetAside("DICOMDIR", reason, "Copy the whole medium, or give its folder."),) if missing else ()
    return _numbered(files), lost
