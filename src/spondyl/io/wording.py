"""The words of the report: what was found and how sure it is, as one says it in a tumor board."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spondyl.io.panels import EVIDENCE, evidence_of, level_text

if TYPE_CHECKING:
    from spondyl.core import Acquisition, Case, Lesion, Measurement, Vertebra

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

UNCERTAINTY_WORDS = ((0.33, "low"), (0.66, "moderate"), (1.01, "high"))
"""Thirds of the normalized entropy of the class probabilities. Chosen by us."""

SEVERITY_WORDS = {"info": "Note", "warning": "Caution", "error": "Problem"}

STEP_WORDS = {
    "read": "Reading and recognizing the images",
    "models": "Loading the network",
    "harmonize": "Choosing the series that carries the result",
    "localize": "Locating the vertebrae",
    "lesions": "Searching for lesions",
    "classify": "Classing vertebrae and lesions",
    "explain": "Explaining findings",
    "scores": "Scoring",
    "align": "Bringing the images to one scale",
    "risk": "Estimating risks",
    "prior": "Analyzing the prior study",
    "response": "Comparing with the prior study",
    "socce": "Placing the patient among the reference",
    "dicom": "Writing the DICOM objects",
    "nifti": "Writing NIfTI files",
    "report": "Making the report",
    "total": "All together",
}

SUBTYPE_WORDS = {
    "hemangioma_atypical": "atypical hemangioma",
    "fatty_marrow": "focal fatty marrow",
    "red_marrow": "red marrow island",
    "modic_1": "Modic 1 change",
    "modic_2": "Modic 2 change",
    "modic_3": "Modic 3 change",
    "schmorl": "Schmorl node",
    "fracture_osteoporotic": "osteoporotic fracture",
    "metastasis_lytic": "lytic metastasis",
    "metastasis_sclerotic": "sclerotic metastasis",
    "metastasis_mixed": "mixed metastasis",
    "diffuse": "diffuse infiltration",
    "fracture_pathological": "pathological fracture",
}
"""Subtypes whose name in the result file is not already how one says it."""

UNIT_WORDS = {"1": "", "mm3": "mm³", "um2/s": "µm²/s", "mm2": "mm²", "10*-6.mm2/s": "× 10⁻⁶ mm²/s"}
"""Units of UCUM that one writes otherwise."""

MEASUREMENT_WORDS = {"adc_mean": "mean ADC", "fat_fraction_mean": "mean fat fraction"}
"""Measurements whose name in the result file is not already how one says it."""

SLOT_WORDS = {"FLUID": "fluid-sensitive", "WATER": "Dixon water", "FAT_FRACTION": "fat fraction"}
"""Inputs of the lesion network that one writes otherwise."""

LEAST_EVIDENCE = 0.2
"""Fall of log-odds from which a series is named among those that a finding rests on. Chosen by us."""

OUTSIDE_BONE, WITHOUT_LEVEL = "outside bone", "bone without a level"
"""Where a candidate lies that no vertebra holds; the second is the sacrum below S1, or bone that belongs to no body."""


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Give a number and what is counted.

    Parameters
    ----------
    number : int
        How many.
    noun : str
        What, in the singular.
    plural : str, optional
        The plural where it is not made with an s.

    Returns
    -------
    str
        Such as ``"two lesions"``; small numbers as words.
    """
    word = NUMBERS[number] if number < len(NUMBERS) else str(number)
    return f"{word} {noun if number == 1 else plural or noun + 's'}"


def milliliters(volume_mm3: float) -> str:
    """Give a volume in mL.

    Parameters
    ----------
    volume_mm3 : float
        Volume in mm³.

    Returns
    -------
    str
        With as many decimals as the measurement deserves.
    """
    volume_ml = volume_mm3 / 1000
    return f"{volume_ml:.2f}" if volume_ml < 1 else f"{volume_ml:.1f}"


def amount(measurement: Measurement) -> str:
    """Give a measured value with its unit.

    Parameters
    ----------
    measurement : Measurement
        The measurement.

    Returns
    -------
    str
        Such as ``"1200 mm³"``, or ``"not assessable"``.
    """
    if measurement.value is None:
        return "not assessable"
    value = f"{measurement.value:.0f}" if abs(measurement.value) >= 100 else f"{measurement.value:.3g}"
    return f"{value} {UNIT_WORDS.get(measurement.unit, measurement.unit)}".strip()


def measured(lesion: Lesion) -> list[tuple[str, Measurement]]:
    """Give the further measurements of a finding as they are shown.

    Parameters
    ----------
    lesion : Lesion
        A finding.

    Returns
    -------
    list of tuple of (str, Measurement)
        Name in words and measurement; what a finding rests on is told by `rests_on`.
    """
    shown = [m for m in lesion.measurements if not m.name.startswith(EVIDENCE)]
    return [(MEASUREMENT_WORDS.get(m.name, m.name.replace("_", " ")), m) for m in shown]


def rests_on(lesion: Lesion) -> str:
    """Say what a finding rests on.

    Parameters
    ----------
    lesion : Lesion
        A finding.

    Returns
    -------
    str
        A sentence; empty where it was not explained.
    """
    told = evidence_of(lesion)
    if not told:
        return ""
    inside = told.pop("inside", None)
    strong = sorted(((fall, name) for name, fall in told.items() if fall >= LEAST_EVIDENCE), reverse=True)
    series = ", ".join(f"{SLOT_WORDS.get(name, name)} {fall:.1f}" for fall, name in strong)
    words = f"Rests on {series} (fall of the log-odds of a lesion where the series is made plain)"
    if not strong:
        words = "Rests on no series alone: with any one made plain it would still be found"
    if inside is None:
        return f"{words}; on no place alone."
    return f"{words}; {inside:.0f} % of what places add lies inside the outline."


def uncertainty_word(uncertainty: float) -> str:
    """Give an uncertainty as a word.

    Parameters
    ----------
    uncertainty : float
        From 0 to 1.

    Returns
    -------
    str
        ``low``, ``moderate`` or ``high``.
    """
    return next(word for limit, word in UNCERTAINTY_WORDS if uncertainty < limit or limit > 1)


def headline(case: Case) -> str:
    """Say the finding in one line.

    Parameters
    ----------
    case : Case
        An analyzed case.

    Returns
    -------
    str
        What a reader in a hurry must know.
    """
    if _not_searched(case):
        return "Lesions were not assessed"
    if not case.lesions:
        return "No lesion candidate found"
    places = list(dict.fromkeys(place(lesion, case) for lesion in case.lesions))
    shown = ", ".join(places[:4]) + (" and elsewhere" if len(places) > 4 else "")
    return f"{count(len(case.lesions), 'lesion candidate').capitalize()}: {shown}"


def summary(case: Case) -> list[str]:
    """Say in a few sentences what was found and what limits it.

    Parameters
    ----------
    case : Case
        An analyzed case.

    Returns
    -------
    list of str
        Sentences, the most important first.
    """
    sentences = [_lesion_sentence(case), _vertebra_sentence(case)]
    serious = [flag for flag in case.quality if flag.severity != "info"]
    if serious:
        sentences.append(f"{count(len(serious), 'remark').capitalize()} on image quality or reliability below.")
    return [sentence for sentence in sentences if sentence]


def _lesion_sentence(case: Case) -> str:
    if _not_searched(case):
        return "The search for lesions gave no result; nothing can be said about them."
    if not case.lesions:
        return "That no candidate was found does not exclude disease."
    first = case.lesions[0]
    most = "The most suspicious" if len(case.lesions) > 1 else "It"
    chance = first.probabilities.get("malignant", 0.0)
    where = place(first, case)
    lies = where if where == OUTSIDE_BONE else f"in {where}"
    return (
        f"{most} lies {lies}, measures {first.longest_diameter_mm:.0f} mm "
        f"({milliliters(first.volume_mm3)} mL) and is rated malignant with probability {chance:.2f}, "
        f"with {uncertainty_word(first.uncertainty)} uncertainty."
    )


def _vertebra_sentence(case: Case) -> str:
    found = case.vertebrae
    if not found:
        return "No vertebra was located."
    known = [v for v in found if v.level is not None]
    span = f", {level_text(known[0])} to {level_text(known[-1])}" if len(known) > 1 else ""
    doubtful = sum(v.level_uncertain or v.level is None for v in found)
    checked = " All level names are considered reliable."
    if doubtful:
        needs = "needs" if doubtful == 1 else "need"
        checked = f" {count(doubtful, 'level name').capitalize()} {needs} checking (marked ?)."
    were = "was" if len(found) == 1 else "were"
    return f"{count(len(found), 'vertebra', 'vertebrae').capitalize()} {were} located{span}.{checked}"


def _not_searched(case: Case) -> bool:
    return any(flag.code == "lesions_failed" for flag in case.quality)


def opinion(finding: Vertebra | Lesion) -> str:
    """Say in a few words what a finding is taken for, and whether that can be told.

    Parameters
    ----------
    finding : Vertebra or Lesion
        The finding.

    Returns
    -------
    str
        Such as ``"lytic metastasis (0.82)"``, or ``"indeterminate: malignant or benign; most like Modic 1 change
        (0.41)"``; where what found a lesion and what classed it do not agree, that is said; empty where it was not
        judged.
    """
    if finding.subtype is None:
        return ""
    kind = SUBTYPE_WORDS.get(finding.subtype, finding.subtype.replace("_", " "))
    likely = f"{kind} ({finding.subtype_probabilities.get(finding.subtype, 0.0):.2f})"
    between = " or ".join(finding.prediction_set) or "like nothing known"
    rated = max(finding.probabilities, key=finding.probabilities.__getitem__, default="")
    if finding.prediction_set and rated and rated not in finding.prediction_set:
        return f"classifiers disagree: {between}; most like {likely}"
    if len(finding.prediction_set) == 1:
        return likely
    return f"indeterminate: {between}; most like {likely}"


def place(lesion: Lesion, case: Case) -> str:
    """Say where a lesion lies.

    Parameters
    ----------
    lesion : Lesion
        The lesion.
    case : Case
        The case it belongs to.

    Returns
    -------
    str
        The level as the pictures show it, ``bone without a level``, such as the sacrum below S1, or ``outside bone``.
    """
    for vertebra in case.vertebrae:
        if vertebra.instance == lesion.vertebra_instance:
            return level_text(vertebra)
    return lesion.level or (WITHOUT_LEVEL if lesion.compartment == "bone" else OUTSIDE_BONE)


def remarks(vertebra: Vertebra) -> str:
    """Say what limits the finding of a vertebra.

    Parameters
    ----------
    vertebra : Vertebra
        The vertebra.

    Returns
    -------
    str
        Empty where nothing does.
    """
    said = []
    if vertebra.level is None:
        said.append("level not known")
    elif vertebra.level_uncertain:
        said.append("check the level")
    if vertebra.level_reason:
        said.append(vertebra.level_reason)
    if vertebra.at_edge:
        said.append("cut by the field of view, so its volume is too small")
    text = "; ".join(said)
    return text[:1].upper() + text[1:]


def timing(acquisition: Acquisition) -> str:
    """Give the times of a sequence as a radiographer writes them.

    Parameters
    ----------
    acquisition : Acquisition
        How the image was taken.

    Returns
    -------
    str
        Such as ``"TR 3500 · TE 90 · TI 160 ms"``; empty where the header does not say.
    """
    named = (
        ("TR", acquisition.repetition_time_ms),
        ("TE", acquisition.echo_time_ms),
        ("TI", acquisition.inversion_time_ms),
    )
    times = " · ".join(f"{name} {value:.0f}" for name, value in named if value)
    shown = f"{times} ms" if times else ""
    if acquisition.b_value_s_mm2 is not None:
        shown += f"{' · ' if shown else ''}b {acquisition.b_value_s_mm2:.0f}"
    return shown


def scanner(acquisition: Acquisition) -> str:
    """Name the scanner of an image.

    Parameters
    ----------
    acquisition : Acquisition
        How the image was taken.

    Returns
    -------
    str
        Vendor, model and field strength as far as the header tells.
    """
    vendor = acquisition.vendor
    shown = {"ge": "GE", "uih": "United Imaging"}.get(vendor, vendor.capitalize())
    field = f"{acquisition.field_strength_t:g} T" if acquisition.field_strength_t else ""
    return " ".join(part for part in (shown, acquisition.model, field) if part)
