"""Name the sequence of an image, from its header first, then from its pixels, with confidence and evidence.

Headers lie and differ between vendors, so every rule votes and says why: physics (TE, TR, TI), the vendor's words, and
the brightness of fluid and fat. Agreement raises the confidence, contradiction lowers it. A short inversion time means
STIR, a medium one with a short echo means a T1 FLAIR, which is a T1 image. The numbers below follow routine spine
protocols; they are wide because sites differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from spondyl.core import Sequence

if TYPE_CHECKING:
    from spondyl.io.acquisition import HeaderFacts
    from spondyl.io.cues import PixelCues

STIR_TI_MS = (80.0, 280.0)
"""Inversion times in ms that null fat: ln 2 times fat's T1, about 150 at 1.5 T and 220 at 3 T, with room for protocols
(Bydder 1985, doi 10.1097/00004728-198507010-00002)."""

T1_FLAIR_TI_MS = (500.0, 1200.0)
"""Inversion times in ms that deepen T1 contrast with a short echo. Chosen by us around protocols of 700 to 1000 ms."""

T2_FLAIR_TI_MS = 1400.0
"""Longer inversion times in ms with a long echo null fluid (Hajnal 1992, doi 10.1097/00004728-199211000-00001)."""

SHORT_ECHO_MS, LONG_ECHO_MS, PD_ECHO_MS = 30.0, 65.0, 50.0
"""Echo times in ms up to which spin echo is T1- or PD-weighted, and from which it is T2-weighted. Between the last two
lies intermediate weighting. Chosen by us around usual protocols."""

STIR_MIN_ECHO_MS = 18.0
"""Echo time in ms from which inversion recovery with a short TI is a STIR. Chosen by us below usual protocols."""

T1_MAX_TR_MS, T1_MAX_TR_3T_MS, LONG_TR_MS, T2_MIN_TR_MS = 1200.0, 1500.0, 1800.0, 1000.0
"""Repetition times in ms: the longest of T1 spin echo, below and from `HIGH_FIELD_T` on; the shortest of PD; the
shortest of T2, where 3-D sequences with flip-back pulses need less. Chosen by us around usual spine protocols."""

HIGH_FIELD_T = 2.5
"""Field strength in tesla from which longer T1 times are allowed for."""

T2_STAR_ECHO_MS = 9.0
"""Gradient echoes from this echo time on, in ms, are T2*-weighted. Chosen by us."""

WATER_FAT_PERIOD_MS_T = 6.9
"""Water and fat are in phase every 6.9 ms at 1 T: 1 / (3.4 ppm x 42.58 MHz/T) (Ma 2008, doi 10.1002/jmri.21492)."""

REJECTED_TYPES = {
    "LOCALIZER": "a localizer",
    "SCOUT": "a localizer",
    "SURVEY": "a localizer",
    "PROJECTION IMAGE": "a projection (MIP)",
    "MIP": "a projection (MIP)",
    "SUBTRACTION": "a subtraction",
    "SUBTRACT": "a subtraction",
    "MPR": "a reformatted image (MPR)",
    "CSA REPORT": "a report",
    "SCREEN SAVE": "a screen save",
    "MOSAIC": "a mosaic of slices",
    "PHASE": "a phase image",
    "P": "a phase image",
    "PHASE MAP": "a phase image",
    "REAL": "a real-part image",
    "IMAGINARY": "an imaginary-part image",
    "FIELD_MAP": "a field map",
    "B0": "a field map",
    "VELOCITY": "a velocity image",
    "FA": "a diffusion anisotropy map",
    "TENSOR": "a diffusion tensor map",
    "TENSOR_B0": "a diffusion tensor map",
    "EXPONENTIAL ADC": "an exponential ADC map",
    "EADC": "an exponential ADC map",
    "T1 MAP": "a relaxation map",
    "T2 MAP": "a relaxation map",
    "T2_STAR MAP": "a relaxation map",
    "FAT_FRACTION": "a fat-fraction map",
    "FATFRAC": "a fat-fraction map",
}
"""Words of ImageType (PS3.3 section C.8.3.1.1.1 and vendors' conformance statements) that rule an image out."""

REJECTED_WORDS = {
    "localizer": "a localizer or calibration",
    "derived": "a derived image",
    "phase": "a phase or field map",
    "fat fraction": "a fat-fraction map",
}
"""Word lists of `spondyl.io.words` that rule an image out."""

DIXON_TYPES = {
    "W": Sequence.DIXON_WATER,
    "WATER": Sequence.DIXON_WATER,
    "F": Sequence.DIXON_FAT,
    "FAT": Sequence.DIXON_FAT,
    "IN_PHASE": Sequence.DIXON_IN,
    "IN PHASE": Sequence.DIXON_IN,
    "INPHASE": Sequence.DIXON_IN,
    "IP": Sequence.DIXON_IN,
    "OPP_PHASE": Sequence.DIXON_OUT,
    "OUT_PHASE": Sequence.DIXON_OUT,
    "OUT PHASE": Sequence.DIXON_OUT,
    "OPPOSED PHASE": Sequence.DIXON_OUT,
    "OP": Sequence.DIXON_OUT,
}
"""Words of ImageType by which Siemens, GE and Philips name Dixon parts (their conformance statements)."""

DIXON_WORDS = {
    "water": Sequence.DIXON_WATER,
    "fat": Sequence.DIXON_FAT,
    "in phase": Sequence.DIXON_IN,
    "opposed phase": Sequence.DIXON_OUT,
}

STANDARD_CONTRASTS = {
    "T1": Sequence.T1,
    "T2": Sequence.T2,
    "PROTON_DENSITY": Sequence.PD,
    "STIR": Sequence.STIR,
    "DIFFUSION": Sequence.DWI,
}
"""AcquisitionContrast (0008,9209), PS3.3 section C.8.13.3.1.5."""

AGREE, PHYSICS_ONLY, WORDS_ONLY, DISAGREE, UNSURE = 0.97, 0.85, 0.75, 0.55, 0.3
"""Confidence when physics and words agree, when one of them is silent, when they contradict, and when both are silent.
Chosen by us; the order is what matters."""

LOW_CONFIDENCE = 0.6
"""Recognitions below this are reported to the reader. Chosen by us."""


@dataclass(frozen=True)
class Recognition:
    """The name of an image's sequence, and why.

    Parameters
    ----------
    sequence : Sequence
        The name.
    confidence : float
        From 0 to 1.
    evidence : tuple of str
        The cues, in words; never a header's free text.
    fat_suppressed : bool or None
        Whether fat is suppressed.
    """

    sequence: Sequence
    confidence: float
    evidence: tuple[str, ...]
    fat_suppressed: bool | None = None

    def changed(self, confidence: float, cue: str, sequence: Sequence | None = None) -> Recognition:
        """Give the recognition with one more cue.

        Parameters
        ----------
        confidence : float
            The new confidence.
        cue : str
            What speaks for it.
        sequence : Sequence, optional
            The new name, where it changes.

        Returns
        -------
        Recognition
            The changed one.
        """
        return replace(self, sequence=sequence or self.sequence, confidence=confidence, evidence=(*self.evidence, cue))


def reason_to_set_aside(facts: HeaderFacts) -> str | None:
    """Say why an image is of no use for reading marrow, from its header.

    Parameters
    ----------
    facts : HeaderFacts
        What the header says.

    Returns
    -------
    str or None
        Such as ``"a localizer"``; None for an image to use.
    """
    for word in facts.image_type:
        if word in REJECTED_TYPES:
            return REJECTED_TYPES[word]
    for name, reason in REJECTED_WORDS.items():
        if name in facts.said:
            return reason
    a = facts.acquisition
    fluid_nulled = (a.inversion_time_ms or 0) > T2_FLAIR_TI_MS and (a.echo_time_ms or 0) > PD_ECHO_MS
    if fluid_nulled or facts.contrast == "FLUID_ATTENUATED" or ("t2flair" in facts.said and "t1" not in facts.said):
        is_t1_flair = _between(a.inversion_time_ms, T1_FLAIR_TI_MS) and (a.echo_time_ms or 0) <= SHORT_ECHO_MS
        return None if is_t1_flair else "a T2 FLAIR, in which fluid is dark"
    return None


def recognize(facts: HeaderFacts) -> Recognition:
    """Name a sequence from its header.

    Parameters
    ----------
    facts : HeaderFacts
        What the header says.

    Returns
    -------
    Recognition
        UNKNOWN with low confidence where the header is silent. T1CE is decided later, by comparing images.
    """
    for rule in (_diffusion, _dixon, _by_weighting):
        answer = rule(facts)
        if answer is not None:
            return answer
    return Recognition(Sequence.UNKNOWN, UNSURE, ("the header does not tell the sequence",))


def _diffusion(facts: HeaderFacts) -> Recognition | None:
    types, b_value = set(facts.image_type), facts.acquisition.b_value_s_mm2
    if "ADC" in types or "adc" in facts.said:
        where = "ImageType" if "ADC" in types else "the description"
        return Recognition(
            Sequence.ADC, AGREE if "ADC" in types else PHYSICS_ONLY, (f"{where} says ADC",), fat_suppressed=True
        )
    marked = bool({"DIFFUSION", "TRACEW", "CALC_BVALUE", "DIFF"} & types) or facts.contrast == "DIFFUSION"
    marked = marked or "dwi" in facts.said or "ep_b" in facts.sequence_name or "ep2d_diff" in facts.sequence_name
    if b_value:
        cue = f"b = {b_value:g} s/mm²"
        return Recognition(
            Sequence.DWI, AGREE if marked or "EP" in facts.scanning else PHYSICS_ONLY, (cue,), fat_suppressed=True
        )
    echo_planar_spin_echo = {"EP", "SE"} <= facts.scanning or {"EP", "RM"} <= facts.scanning
    if marked or (b_value is not None and echo_planar_spin_echo):
        cue = "marked as diffusion" if marked else "spin-echo EPI with a b-value"
        known = "b = 0 s/mm²" if b_value is not None else "its b-value is not told"
        return Recognition(
            Sequence.DWI, PHYSICS_ONLY if b_value is not None else WORDS_ONLY, (cue, known), fat_suppressed=True
        )
    return None


def _dixon(facts: HeaderFacts) -> Recognition | None:
    part, confidence, cue = _dixon_part(facts)
    if part is None:
        return None
    base = _weighting(facts)[0] if "GR" not in facts.scanning else None
    # A turbo spin echo read out in Dixon parts is a T2 (or T1) examination: its in-phase image is the plain image.
    if part is Sequence.DIXON_IN and base in {Sequence.T1, Sequence.T2}:
        return Recognition(base, confidence, (cue, f"spin echo with {base} weighting"), fat_suppressed=False)
    if part is Sequence.DIXON_WATER and base is Sequence.T2:
        return Recognition(Sequence.T2FS, confidence, (cue, "spin echo with T2 weighting"), fat_suppressed=True)
    if part is Sequence.DIXON_WATER and base is Sequence.T1:
        return Recognition(Sequence.T1, confidence, (cue, "spin echo with T1 weighting"), fat_suppressed=True)
    return Recognition(part, confidence, (cue,), fat_suppressed=part is Sequence.DIXON_WATER)


def _dixon_part(facts: HeaderFacts) -> tuple[Sequence | None, float, str]:
    for word in facts.image_type:
        if word in DIXON_TYPES:
            return DIXON_TYPES[word], AGREE, f"ImageType says {DIXON_TYPES[word]}"
    named = [s for name, s in DIXON_WORDS.items() if name in facts.said]
    if len(named) == 1:
        return named[0], PHYSICS_ONLY, f"the description says {named[0]}"
    a = facts.acquisition
    if (
        "GR" in facts.scanning
        and a.echo_time_ms
        and a.field_strength_t
        and ("dixon" in facts.said or facts.n_echoes > 1)
    ):
        periods = a.echo_time_ms * a.field_strength_t / WATER_FAT_PERIOD_MS_T
        off = abs(periods - round(periods))
        if a.echo_time_ms < T2_STAR_ECHO_MS and off < 0.15 and round(periods) >= 1:
            return Sequence.DIXON_IN, WORDS_ONLY, "TE at which water and fat are in phase"
        if a.echo_time_ms < T2_STAR_ECHO_MS and off > 0.35:
            return Sequence.DIXON_OUT, WORDS_ONLY, "TE at which water and fat are opposed"
    return None, 0.0, ""


def _by_weighting(facts: HeaderFacts) -> Recognition | None:
    physics, why = _weighting(facts)
    spoken = _spoken(facts)
    suppressed = facts.acquisition.fat_suppressed
    if physics is None and spoken is None:
        return None
    if Sequence.UNKNOWN in {physics, spoken}:
        return Recognition(Sequence.UNKNOWN, UNSURE, (why if physics else "the description says T2*",))
    if physics is None or spoken is None:
        name, confidence = physics or spoken, PHYSICS_ONLY if physics else WORDS_ONLY
    elif physics is spoken:
        name, confidence = physics, AGREE
    elif (
        spoken is Sequence.STIR
        and physics in {Sequence.T2, Sequence.PD}
        and facts.acquisition.inversion_time_ms is None
    ):
        name, confidence = spoken, PHYSICS_ONLY  # some scanners leave TI out, and then TE and TR fit a STIR
    elif physics is Sequence.STIR and spoken is Sequence.T2:
        name, confidence = physics, PHYSICS_ONLY  # "T2 TIRM" and the like
    else:
        name, confidence = physics, DISAGREE
    evidence = tuple(e for e in (why, f"description or contrast tag says {spoken}" if spoken else "") if e)
    if name is Sequence.STIR:
        suppressed = True
    elif name is Sequence.T2 and suppressed:
        name, evidence = Sequence.T2FS, (*evidence, "fat suppression")
    return Recognition(name, confidence, evidence, suppressed)  # type: ignore[arg-type]


def _spoken(facts: HeaderFacts) -> Sequence | None:
    """What the description, or AcquisitionContrast of enhanced MR, calls it."""
    order = (("stir", Sequence.STIR), ("t1", Sequence.T1), ("t2", Sequence.T2), ("pd", Sequence.PD))
    named = [sequence for name, sequence in order if name in facts.said]
    if "t2star" in facts.said:
        return Sequence.UNKNOWN
    if named and not {Sequence.T1, Sequence.T2} <= set(named):
        return named[0]
    return STANDARD_CONTRASTS.get(facts.contrast)


def _weighting(facts: HeaderFacts) -> tuple[Sequence | None, str]:
    """Name the weighting from TE, TR, TI and flip angle alone."""
    a = facts.acquisition
    te, tr, ti = a.echo_time_ms, a.repetition_time_ms, a.inversion_time_ms
    if te is None or tr is None:
        return None, ""
    if "GR" in facts.scanning and "SE" not in facts.scanning:
        return _gradient_echo(facts, te, ti)
    if ti is not None and _between(ti, STIR_TI_MS) and te >= STIR_MIN_ECHO_MS and tr > T1_MAX_TR_MS:
        if "spair" in facts.said or "SPAIR" in facts.options:  # its delay is not an inversion of everything
            return Sequence.T2, "long TE and TR, SPAIR"
        return Sequence.STIR, f"TI = {ti:g} ms"
    if ti is not None and _between(ti, T1_FLAIR_TI_MS) and te <= SHORT_ECHO_MS:
        return Sequence.T1, f"T1 FLAIR (TI = {ti:g} ms, TE = {te:g} ms)"
    return _spin_echo(te, tr, a.field_strength_t or 1.5)


def _spin_echo(te: float, tr: float, field_t: float) -> tuple[Sequence | None, str]:
    why = f"TE = {te:g} ms, TR = {tr:g} ms"
    if te <= SHORT_ECHO_MS and tr <= (T1_MAX_TR_3T_MS if field_t >= HIGH_FIELD_T else T1_MAX_TR_MS):
        return Sequence.T1, why
    if te >= LONG_ECHO_MS and tr >= T2_MIN_TR_MS:
        return Sequence.T2, why
    if te < PD_ECHO_MS and tr >= LONG_TR_MS:
        return Sequence.PD, why
    if te >= PD_ECHO_MS and tr >= LONG_TR_MS:
        return Sequence.T2, why + ", intermediate"
    return None, ""


def _gradient_echo(facts: HeaderFacts, te: float, ti: float | None) -> tuple[Sequence | None, str]:
    if "EP" in facts.scanning or te >= T2_STAR_ECHO_MS:
        return Sequence.UNKNOWN, f"gradient echo with T2* weighting (TE = {te:g} ms)"
    if _between(ti, T1_FLAIR_TI_MS) or (facts.acquisition.flip_angle_deg or 0) >= 5:
        return Sequence.T1, f"spoiled gradient echo (TE = {te:g} ms)"
    return None, ""


def _between(value: float | None, bounds: tuple[float, float]) -> bool:
    return value is not None and bounds[0] <= value <= bounds[1]


def confirm(recognition: Recognition, cues: PixelCues) -> Recognition:
    """Weigh a header's answer against the pixels, or let them answer where it is silent.

    Parameters
    ----------
    recognition : Recognition
        What the header, or a file's name, says.
    cues : PixelCues
        How bright fluid and fat look.

    Returns
    -------
    Recognition
        With confidence raised or lowered; a new name only where there was none.
    """
    fluid = cues.fluid_bright
    if fluid is None:
        return recognition.changed(recognition.confidence, "the pixels do not tell")
    look = f"fluid looks {'bright' if fluid else 'dark'}"
    if recognition.sequence is Sequence.UNKNOWN:
        if recognition.evidence and "T2*" in recognition.evidence[0]:
            return recognition.changed(recognition.confidence, look)
        name = Sequence.T1 if not fluid else Sequence.T2
        # Bright fluid fits T2 and STIR alike: whether fat is dark cannot be seen reliably under a coil's shading.
        return recognition.changed(min(cues.strength, DISAGREE), look, name)
    expected = FLUID_EXPECTED.get(recognition.sequence)
    if expected is None:
        return recognition
    if expected == fluid:
        return recognition.changed(min(recognition.confidence + 0.02, 0.99), f"{look}, as expected")
    return recognition.changed(recognition.confidence * (1 - 0.5 * cues.strength), f"{look}, which is not expected")


FLUID_EXPECTED = {
    Sequence.T1: False,
    Sequence.T2: True,
    Sequence.T2FS: True,
    Sequence.STIR: True,
}
"""Whether cerebrospinal fluid is brighter than cord and disc. After contrast, PD and Dixon: no rule holds."""
