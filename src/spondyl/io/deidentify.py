"""De-identification of DICOM objects after the Basic Application Confidentiality Profile (PS3.15 annex E).

What happens to which attribute is told by the standard's own table E.1-1, as the package dicom-anonymizer keeps it.
On top of the table, nothing is kept that nobody has looked at: private attributes, attributes that no dictionary knows,
all names of persons, free text, overlays and curves go, and a value in which the name or number of the patient still
turns up goes, too. UIDs become others by a keyed hash, the same for the same key, so that a segmentation still points
at its images.

Burned-in words cannot be found in this way: an image that admits them is refused, and whoever exports must look.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydicom.datadict import dictionary_has_tag, keyword_for_tag
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.coding import Code
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

import spondyl
from spondyl.core import InputError
from spondyl.io import codes
from spondyl.io.reference import MODEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydicom.dataelem import DataElement
    from pydicom.tag import BaseTag

TABLE = "dicomfields_2026c"
"""Edition of PS3.15 table E.1-1 that is followed."""

LEGACY_ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.4"
SEGMENTATION, LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"

IMAGES = frozenset({MRImageStorage, EnhancedMRImageStorage, LEGACY_ENHANCED_MR})
"""SOP classes of source images that are taken."""

RESULTS = frozenset({SEGMENTATION, LABEL_MAP_SEGMENTATION, PARAMETRIC_MAP, COMPREHENSIVE_3D_SR})
"""SOP classes of results that are taken, if Spondyl made them: their words are known not to come from a header."""

BASIC_PROFILE = Code("113100", "DCM", "Basic Application Confidentiality Profile")
CLEAN_STRUCTURED_CONTENT = Code("113104", "DCM", "Clean Structured Content Option")
CLEAN_DESCRIPTORS = Code("113105", "DCM", "Clean Descriptors Option")
MODIFIED_DATES = Code("113107", "DCM", "Retain Longitudinal Temporal Information Modified Dates Option")
PATIENT_CHARACTERISTICS = Code("113108", "DCM", "Retain Patient Characteristics Option")
"""PS3.16 CID 7050."""

CHARACTERISTICS = frozenset({"PatientSex", "PatientAge", "PatientSize", "PatientWeight"})
"""What the option to retain patient characteristics keeps here (PS3.15 section E.3.7)."""

OLDEST_AGE_YEARS = 90
"""Ages above become this one (45 CFR 164.514(b)(2)(i)(C): all ages over 89 in one category)."""

LONGEST_SHIFT_DAYS = 3650
"""Dates move back by one to so many days, the same for all of a patient. Chosen by us."""

DUMMIES = {"DA": "19000101", "TM": "000000", "DT": "19000101000000", "AS": "000Y", "UI": "", "PN": "REMOVED"}
"""Values of no meaning where the standard wants one; other text becomes ``REMOVED``."""

KEPT_TEXT = frozenset({"TrackingID", "SegmentDescription", "TextValue"})
"""Free text that Spondyl writes into its own results, from words of its own."""

KEPT_UIDS = frozenset({"CodingSchemeUID", "ContextUID", "MappingResourceUID", "ContextGroupExtensionCreatorUID"})
"""UIDs of dictionaries, not of anything of this patient."""

FREE_TEXT = frozenset({"LT", "ST", "UT", "UC", "UR"})
"""Representations that hold sentences (PS3.5 section 6.2); the table names most of their attributes, not all."""

SHORTEST_SIGN = 3
"""Parts of a name or number with fewer letters are not looked for: they turn up in any word. Chosen by us."""

STANDARD_UIDS = "1.2.840.10008."
"""Root of the UIDs that DICOM itself gives (PS3.6 annex A)."""


class Action(NamedTuple):
    """What is done to an attribute (PS3.15 table E.1-1a).

    Parameters
    ----------
    letter : str
        ``X`` remove, ``Z`` empty, ``D`` replace by a value of no meaning, ``U`` replace a UID.
    """

    letter: str


@dataclass(frozen=True)
class Deidentification:
    """How an export is de-identified.

    Parameters
    ----------
    key : bytes
        Secret of the export. The same key gives the same pseudonyms, UIDs and shift of dates; without it nobody can
        tell which belong together.
    dates : str
        ``"remove"``, or ``"shift"`` to keep the distances between them.
    characteristics : bool
        Whether sex, age, size and weight are kept.
    """

    key: bytes = field(repr=False)
    dates: Literal["remove", "shift"] = "remove"
    characteristics: bool = False

    def uid(self, uid: str) -> str:
        """Give the UID that stands for another.

        Parameters
        ----------
        uid : str
            As in the source.

        Returns
        -------
        str
            Of the form that needs no registration (PS3.5 section B.2).
        """
        return f"2.25.{int.from_bytes(self._hash('uid', uid)[:16])}"

    def pseudonym(self, patient: str) -> str:
        """Give the name of a patient in the export.

        Parameters
        ----------
        patient : str
            Number of the patient with its issuer.

        Returns
        -------
        str
            Such as ``"SUBJECT-1F0C9A2B4D5E"``.
        """
        return f"SUBJECT-{self._hash('patient', patient).hex()[:12].upper()}"

    def shift_days(self, patient: str) -> int:
        """Give how far the dates of a patient are moved back.

        Parameters
        ----------
        patient : str
            Number of the patient with its issuer.

        Returns
        -------
        int
            Days, at least one.
        """
        return 1 + int.from_bytes(self._hash("dates", patient)[:8]) % LONGEST_SHIFT_DAYS

    def _hash(self, what: str, value: str) -> bytes:
        return hmac.new(self.key, f"{what}\0{value.strip()}".encode(), hashlib.sha256).digest()


def deidentified(source: Dataset, how: Deidentification) -> FileDataset:
    """Give a de-identified copy of a DICOM object.

    Parameters
    ----------
    source : Dataset
        A source image or a result of Spondyl, with file meta information; it is not changed.
    how : Deidentification
        The key and the options.

    Returns
    -------
    FileDataset
        To be saved.

    Raises
    ------
    InputError
        If the object is of a kind that cannot be cleaned, or says that words are burned into its pixels.

    References
    ----------
    DICOM PS3.15 sections E.1 to E.3 and table E.1-1; PS3.3 section C.12.1 for what says that it was done.
    """
    ours = _check(source)
    patient = f"{source.get('IssuerOfPatientID', '')}\\{source.get('PatientID', '')}"
    cleaner = _Cleaner(how, patient, ours=ours, signs=_signs(source))
    made = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    for element in cleaner.elements(source):
        made.add(element)
    made.PatientName = made.PatientID = how.pseudonym(patient)
    if ours:
        made.SeriesDescription = f"Spondyl result ({spondyl.RESEARCH_USE_ONLY})"[:64]
    if "SpecificCharacterSet" in source:
        made.SpecificCharacterSet = "ISO_IR 192"
    _say_so(made, how, ours=ours)
    meta = made.file_meta
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = made.SOPClassUID, made.SOPInstanceUID
    syntax = getattr(source, "file_meta", Dataset()).get("TransferSyntaxUID", ExplicitVRLittleEndian)
    meta.TransferSyntaxUID = UID(str(syntax))
    return made


def _check(source: Dataset) -> bool:
    """Refuse what cannot be cleaned; say whether it is a result of ours."""
    sop_class = str(source.get("SOPClassUID", ""))
    if str(source.get("BurnedInAnnotation", "")).strip().upper() == "YES":
        msg = "its header says that words are burned into the picture; clean it by hand"
        raise InputError(msg)
    if sop_class in IMAGES:
        return False
    if sop_class in RESULTS and str(source.get("ManufacturerModelName", "")) == MODEL:
        return True
    msg = "it is neither an MR image nor a segmentation, map or structured report by Spondyl, and cannot be cleaned"
    raise InputError(msg)


def _say_so(made: Dataset, how: Deidentification, *, ours: bool) -> None:
    """Write that and how it was de-identified (PS3.15 section E.1.1)."""
    used = [BASIC_PROFILE]
    used += [CLEAN_STRUCTURED_CONTENT, CLEAN_DESCRIPTORS] if ours else []
    used += [MODIFIED_DATES] if how.dates == "shift" else []
    used += [PATIENT_CHARACTERISTICS] if how.characteristics else []
    made.PatientIdentityRemoved = "YES"
    made.DeidentificationMethod = f"Spondyl {spondyl.__version__}: PS3.15 E.1-1 and more"
    made.DeidentificationMethodCodeSequence = DicomSequence([codes.concept(code) for code in used])
    made.LongitudinalTemporalInformationModified = "MODIFIED" if how.dates == "shift" else "REMOVED"


def _signs(source: Dataset) -> tuple[str, ...]:
    """Give the words by which this patient could be known, in lower case."""
    found: set[str] = set()
    for keyword in ("PatientID", "AccessionNumber", "StudyID", "PatientName", "OtherPatientNames", "PatientBirthName"):
        for part in re.split(r"[\s^=\\,]+", str(source.get(keyword, "") or "")):
            if len(part) >= SHORTEST_SIGN and not (keyword == "StudyID" and len(part) < 6):
                found.add(part.lower())
    return tuple(sorted(found))


@cache
def _table() -> tuple[dict[int, Action], tuple[tuple[int, int, Action], ...]]:
    """Read table E.1-1: actions by tag, and by tag under a mask for repeating groups.

    Where the action depends on whether the attribute must be there, a value of no meaning is written, or an empty one
    where the table asks for no more; so the object stays valid in each case.
    """
    from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector

    lists = dicom_anonymization_database_selector(TABLE)
    letters = {
        "X_TAGS": "X", "Z_TAGS": "Z", "D_TAGS": "D", "U_TAGS": "U", "Z_D_TAGS": "D", "X_Z_TAGS": "Z", "X_D_TAGS": "D",
        "X_Z_D_TAGS": "D", "X_Z_U_STAR_TAGS": "U",
    }  # fmt: skip
    by_tag, masked = {}, []
    for name, letter in letters.items():
        for tag in lists[name]:
            if len(tag) == 2:
                by_tag[(tag[0] << 16) | tag[1]] = Action(letter)
            else:
                group, element, group_mask, element_mask = tag
                masked.append(((group << 16) | element, (group_mask << 16) | element_mask, Action(letter)))
    return by_tag, tuple(masked)


def action_of(tag: BaseTag) -> Action | None:
    """Give what the standard's table says of an attribute.

    Parameters
    ----------
    tag : BaseTag
        The attribute.

    Returns
    -------
    Action or None
        None where the table does not name it, so that it may stay.
    """
    by_tag, masked = _table()
    if tag in by_tag:
        return by_tag[tag]
    return next((action for value, mask, action in masked if int(tag) & mask == value & mask), None)


class _Cleaner:
    """Cleans one object."""

    def __init__(self, how: Deidentification, patient: str, *, ours: bool, signs: tuple[str, ...]) -> None:
        self.how, self.ours, self.signs = how, ours, signs
        self.shift = datetime.timedelta(days=how.shift_days(patient)) if how.dates == "shift" else None

    def elements(self, dataset: Dataset) -> Iterator[DataElement]:
        """Give what is left of a dataset, sequences cleaned in depth."""
        for given in dataset:
            cleaned = self._cleaned(given)
            if cleaned is not None:
                yield cleaned

    def _cleaned(self, given: DataElement) -> DataElement | None:
        tag, keyword = given.tag, keyword_for_tag(given.tag)
        if tag.is_private or not dictionary_has_tag(tag) or tag.group in _GRAPHICS or tag.element == 0:
            return None
        action = action_of(tag)
        if keyword in CHARACTERISTICS and self.how.characteristics:
            return self._characteristic(given)
        if given.VR in ("SQ", "UI"):
            return (self._sequence if given.VR == "SQ" else self._uid)(given, action)
        if given.VR in ("DA", "DT", "TM") and self.shift is not None and keyword != "PatientBirthDate":
            return self._shifted(given)
        return self._value(given, action or self._caution(given, keyword))

    def _value(self, given: DataElement, action: Action | None) -> DataElement | None:
        if action is None or (self.ours and given.keyword in KEPT_TEXT):
            return None if self._shows_patient(given) else given
        if action.letter == "X":
            return None
        return _with(given, _dummy(given) if action.letter == "D" and given.value not in (None, "") else "")

    def _sequence(self, given: DataElement, action: Action | None) -> DataElement | None:
        """Clean a sequence item by item; one that the table replaces is emptied, but for the content of our reports."""
        if action is not None and action.letter != "U" and not (self.ours and given.keyword == "ContentSequence"):
            return None if action.letter == "X" else _with(given, DicomSequence())
        return _with(given, DicomSequence([self._item(item) for item in given.value]))

    def _item(self, item: Dataset) -> Dataset:
        made = Dataset()
        for element in self.elements(item):
            made.add(element)
        return made

    def _uid(self, given: DataElement, action: Action | None) -> DataElement | None:
        if action is not None and action.letter == "X":
            return None
        values = [str(v) for v in (given.value if given.VM > 1 else [given.value]) if v]
        if given.keyword in KEPT_UIDS:
            return given
        changed = [v if v.startswith(STANDARD_UIDS) else self.how.uid(v) for v in values]
        return _with(given, changed if len(changed) > 1 else "".join(changed))

    def _shifted(self, given: DataElement) -> DataElement | None:
        if given.VR == "TM" or given.value in (None, ""):
            return given
        values = [str(v) for v in (given.value if given.VM > 1 else [given.value])]
        moved = [self._moved(v) for v in values]
        if None in moved:
            return _with(given, "")
        return _with(given, moved if len(moved) > 1 else moved[0])

    def _moved(self, value: str) -> str | None:
        """Move a date back; None where it is none."""
        try:
            day = datetime.datetime.strptime(value[:8], "%Y%m%d") - (self.shift or datetime.timedelta())
        except (ValueError, OverflowError):
            return None
        return f"{day:%Y%m%d}" + (value[8:] if re.fullmatch(r"[0-9.]*([+-][0-9]{4})?", value[8:]) else "")

    def _characteristic(self, given: DataElement) -> DataElement | None:
        if given.keyword == "PatientAge":
            age = re.fullmatch(r"(\d{3})Y", str(given.value or ""))
            if age and int(age[1]) >= OLDEST_AGE_YEARS:
                return _with(given, f"{OLDEST_AGE_YEARS:03d}Y")
            return given if re.fullmatch(r"\d{3}[DWMY]", str(given.value or "")) else None
        if given.keyword == "PatientSex":
            return given if given.value in ("M", "F", "O", "") else _with(given, "")
        return given

    def _caution(self, given: DataElement, keyword: str) -> Action | None:
        """Say what happens to an attribute that the table does not name: what may hold words about a person goes."""
        if given.VR == "PN":
            return Action("Z")
        if given.VR in FREE_TEXT or given.VR == "UN":
            return Action("X")
        dated = given.VR in ("DA", "DT") or (given.VR == "TM" and not keyword.startswith("TimeOf"))
        return Action("D" if given.value else "Z") if dated else None

    def _shows_patient(self, given: DataElement) -> bool:
        if not self.signs or given.VR not in ("LO", "SH", "CS", "AE", "UT", "ST", "LT", "UC", "IS", "DS"):
            return False
        text = str(given.value).lower()
        return any(re.search(rf"(?<![a-z0-9]){re.escape(sign)}(?![a-z0-9])", text) for sign in self.signs)


_GRAPHICS = frozenset(range(0x5000, 0x5100)) | frozenset(range(0x6000, 0x6100))
"""Groups of curves and overlays (PS3.5 section 7.6), which can show words."""


def _with(given: DataElement, value: Any) -> DataElement:
    from pydicom.dataelem import DataElement

    return DataElement(given.tag, given.VR, value)


def _dummy(given: DataElement) -> Any:
    """Give a value of no meaning that fits the representation."""
    if given.VR in DUMMIES:
        return DUMMIES[given.VR]
    if given.VR in ("DS", "IS", "US", "UL", "SS", "SL", "FL", "FD"):
        return 0
    return b"" if given.VR in ("OB", "OW", "UN", "OF", "OD") else "REMOVED"


def leaks(dataset: Dataset, signs: Iterable[str]) -> list[str]:
    """Say where words still turn up in an object, values of all kinds and depths.

    Parameters
    ----------
    dataset : Dataset
        A de-identified object.
    signs : iterable of str
        Words to look for.

    Returns
    -------
    list of str
        Keywords or tags of the attributes; the words themselves are not repeated.
    """
    found = []
    wanted = [sign.lower() for sign in signs]
    for element in dataset.iterall():
        value = element.value
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if element.VR != "SQ" and element.keyword != "PixelData" and any(sign in text.lower() for sign in wanted):
            found.append(element.keyword or str(element.tag))
    return found
