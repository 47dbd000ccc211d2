"""Among several images, say which were taken after contrast agent and which one stands for each sequence.

Contrast status needs two witnesses, since the agent's tag is often filled for a whole study, or never, and
descriptions are typed by people. The image chosen for a sequence is what a radiologist would hang: sagittal, of the
same region as the other sequences and all of it, as acquired rather than composed, complete and fine.
"""

from __future__ import annotations

from typing import Any

from spondyl.core import QualityFlag, Sequence
from spondyl.io.cues import enhances, reads_sagittally
from spondyl.io.recognize import AGREE, DISAGREE, LOW_CONFIDENCE, PHYSICS_ONLY, Recognition
from spondyl.io.volumes import Reading, extent_mm

PREFERRED_B_VALUE_S_MM2 = 800.0
"""The diffusion image whose b-value in s/mm² is nearest to this stands for DWI: protocols for bone marrow use 800 to
1000 (Messiou 2019, MY-RADS, doi 10.1148/radiol.2019181949)."""

MIN_SHARED_HEIGHT = 0.5
"""Two images show the same region if they share at least this part of the shorter one's height. Chosen by us."""

MIN_COVERED_HEIGHT = 0.8
"""An image shows all that another does if it shares at least this part of the other one's height. Chosen by us."""

ENOUGH_SLICES = 5
"""An image with fewer slices is chosen only where there is no other. Chosen by us."""

MODERATE = 0.65
"""Confidence of contrast status that rests on one witness. Chosen by us; above what is reported as doubtful."""


def settle_contrast(readings: list[Reading]) -> list[Reading]:
    """Find the T1 images taken after contrast agent.

    Parameters
    ----------
    readings : list of Reading
        All images of a study.

    Returns
    -------
    list of Reading
        The same, with T1 turned into T1CE where at least two witnesses say so, or a description alone does.
    """
    t1 = [r for r in readings if r.image.sequence is Sequence.T1]
    return [_settled(r, t1) if r.image.sequence is Sequence.T1 else r for r in readings]


def _settled(reading: Reading, t1: list[Reading]) -> Reading:
    facts = reading.facts
    if "before contrast" in facts.said:
        return _named(reading, Sequence.T1, reading.image.sequence_confidence, "the description says before contrast")
    spoken = "after contrast" in facts.said
    witnesses = [
        (spoken, "the description says after contrast"),
        (facts.agent, "a contrast agent is named"),
        (facts.agent and bool(facts.acquisition.fat_suppressed), "T1 with fat suppression"),
        *_compared(reading, t1),
    ]
    cues = [cue for true, cue in witnesses if true]
    if len(cues) >= 2:
        return _named(reading, Sequence.T1CE, min(AGREE, reading.image.sequence_confidence + 0.1), *cues)
    if spoken:
        return _named(reading, Sequence.T1CE, MODERATE, *cues)
    if facts.agent and any(_earlier(reading, r) and enhances(reading.image, r.image) for r in _twins(reading, t1)):
        first = "a like image taken later is brighter"
        return _named(reading, Sequence.T1, reading.image.sequence_confidence, *cues, first)
    if facts.agent:
        unsure = "no second sign of contrast"
        return _named(reading, Sequence.T1, min(DISAGREE, reading.image.sequence_confidence), *cues, unsure)
    return reading


def _twins(reading: Reading, t1: list[Reading]) -> list[Reading]:
    """Give the other T1 images of the same kind and region."""
    suppressed = bool(reading.facts.acquisition.fat_suppressed)
    return [
        r
        for r in t1
        if r is not reading
        and bool(r.facts.acquisition.fat_suppressed) == suppressed
        and r.image.grid.plane == reading.image.grid.plane
        and same_region(r, reading)
    ]


def _earlier(a: Reading, b: Reading) -> bool:
    start, other = a.image.acquisition.acquired_s, b.image.acquisition.acquired_s
    return start is not None and other is not None and start < other


def _compared(reading: Reading, t1: list[Reading]) -> list[tuple[bool, str]]:
    """Compare with like T1 images: pixels, and who came first."""
    seen = {id(r): enhances(r.image, reading.image) for r in _twins(reading, t1)}
    # Time alone is no witness, since a repeated T1 comes later too: it supports an agent or a description, and only
    # where the pixels do not contradict.
    claimed = "after contrast" in reading.facts.said or reading.facts.agent
    later = claimed and any(seen.get(id(r), False) is None and _earlier(r, reading) for r in t1)
    return [
        (any(seen.values()), "brighter than its twin in vessels or lesions"),
        (later, "taken after a like T1 image"),
    ]


def _named(reading: Reading, sequence: Sequence, confidence: float, *cues: str) -> Reading:
    evidence = (*reading.image.source.evidence, *cues)
    suppressed = reading.image.acquisition.fat_suppressed
    return reading.named(Recognition(sequence, confidence, evidence, suppressed))


def same_region(a: Reading, b: Reading) -> bool:
    """Say whether two images show the same part of the spine.

    Parameters
    ----------
    a, b : Reading
        Two images.

    Returns
    -------
    bool
        True where they share enough height in one frame of reference.
    """
    if a.image.grid.frame_of_reference != b.image.grid.frame_of_reference:
        return False
    (low_a, high_a), (low_b, high_b) = extent_mm(a.image.grid), extent_mm(b.image.grid)
    shared = min(high_a[2], high_b[2]) - max(low_a[2], low_b[2])
    return bool(shared >= MIN_SHARED_HEIGHT * max(min(high_a[2] - low_a[2], high_b[2] - low_b[2]), 1.0))


def is_composed(reading: Reading) -> bool:
    """Say whether the scanner joined an image from several.

    Parameters
    ----------
    reading : Reading
        An image.

    Returns
    -------
    bool
        As its description or type says.
    """
    return "composed" in reading.facts.said or bool({"COMPOSED", "COMP"} & set(reading.facts.image_type))


def primaries(readings: list[Reading]) -> dict[Sequence, Reading]:
    """Choose the image that stands for each sequence.

    Parameters
    ----------
    readings : list of Reading
        All images of a study, contrast settled.

    Returns
    -------
    dict of Sequence to Reading
        Ordered as `Sequence` is. UNKNOWN is in it only where nothing else was recognized.
    """
    known = [r for r in readings if r.image.sequence is not Sequence.UNKNOWN]
    chosen: dict[Sequence, Reading] = {}
    for sequence in Sequence:
        candidates = [r for r in (known or readings) if r.image.sequence is sequence]
        if candidates:
            chosen[sequence] = max(candidates, key=lambda r: _rank(r, known or readings))
    return chosen


def _rank(reading: Reading, others: list[Reading]) -> tuple[Any, ...]:
    """What to prefer, most important first."""
    image = reading.image
    companions = {
        r.image.sequence for r in others if r.image.grid.plane == image.grid.plane and same_region(r, reading)
    }
    shape, spacing = image.grid.shape, image.grid.spacing_mm
    b_value = image.acquisition.b_value_s_mm2
    return (
        min(shape) >= ENOUGH_SLICES,
        reads_sagittally(image.grid),
        image.sequence is not Sequence.T1 or not image.acquisition.fat_suppressed,
        0.0 if b_value is None or image.sequence is Sequence.ADC else -abs(b_value - PREFERRED_B_VALUE_S_MM2),
        len(companions),
        _reach(reading, others),
        not is_composed(reading),
        image.sequence_confidence >= PHYSICS_ONLY,
        image.sequence is Sequence.T1CE and bool(image.acquisition.fat_suppressed),
        min(shape),
        -sum(spacing),
        # The series number keeps the choice the same however the files are ordered; a repeated series wins.
        image.source.series_number or 0,
        image.source.series_uid,
    )


def _reach(reading: Reading, others: list[Reading]) -> int:
    """Count the sequences of whose longest image a reading shows all.

    So either all sequences of a whole spine are chosen from end to end, or all of the part that was taken by itself.
    Of its own sequence only what was joined counts: a long scout is no reason to leave a finer image aside.
    """
    own = reading.image.sequence
    longest: dict[Sequence, tuple[float, float]] = {}
    for other in others:
        if other.image.sequence is own and not (other.stations or is_composed(other)):
            continue
        if other.image.grid.plane == reading.image.grid.plane and same_region(other, reading):
            low, high = extent_mm(other.image.grid)
            kept = longest.get(other.image.sequence, (0.0, 0.0))
            longest[other.image.sequence] = max(kept, (low[2], high[2]), key=lambda ends: ends[1] - ends[0])
    bottom, top = (end[2] for end in extent_mm(reading.image.grid))
    shared = [(min(high, top) - max(low, bottom), high - low) for low, high in longest.values()]
    return sum(mm >= MIN_COVERED_HEIGHT * height for mm, height in shared)


def confidence_flags(chosen: dict[Sequence, Reading]) -> list[QualityFlag]:
    """Report sequences that were named with little confidence.

    Parameters
    ----------
    chosen : dict of Sequence to Reading
        The images that stand for their sequence.

    Returns
    -------
    list of QualityFlag
        One for each doubtful image.
    """
    return [
        QualityFlag(
            "low_sequence_confidence",
            f"Taken for {s} with a confidence of {r.image.sequence_confidence:.2f}: "
            f"{'; '.join(r.image.source.evidence)}. Name it with --sequence if it is another.",
            where=str(s),
        )
        for s, r in chosen.items()
        if r.image.sequence_confidence < LOW_CONFIDENCE
    ]
