"""What sets of criteria say of the changes: RECIST 1.1 for bone, a SPINO-style and a MET-RADS-like reading.

They sort facts for people who decide. SPINO asks for a person's verdict after several studies, and MET-RADS for more
than one region: what stands here is only their part that two outlined studies can answer, and it is named so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from spondyl.core.response import Change, LesionChange, Verdict
from spondyl.lesions.change import NOT_ASSESSABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spondyl.lesions.change import ResponseSettings

MEASURABLE_MM = 10.0
"""Longest diameter of a soft-tissue part from which a bone lesion is measurable (RECIST 1.1; Costelloe 2010)."""

MAX_TARGETS = 2
"""Targets in one organ, the skeleton here (RECIST 1.1)."""

PARTIAL_PERCENT, PROGRESS_PERCENT, PROGRESS_MM = -30.0, 20.0, 5.0
"""Change of the sum of diameters for partial response and progression (RECIST 1.1)."""

RESPONSE_ADC, ACTIVE_ADC = 1400.0, 1000.0
"""ADC, in 10⁻⁶ mm²/s, above which a lesion rather answers and below which it rather is active (Padhani 2017,
recalled)."""

RAC = {
    1: "1, highly likely responding",
    2: "2, likely responding",
    3: "3, no change",
    4: "4, likely progressing",
    5: "5, highly likely progressing",
}

RECIST_REFERENCE = "Eisenhauer 2009, Eur J Cancer 45:228; bone: Costelloe 2010, J Cancer 1:80"
SPINO_REFERENCE = "Thibault 2015, Lancet Oncol 16:e595"
MET_RADS_REFERENCE = "Padhani 2017, Eur Urol 71:81"


class Target(NamedTuple):
    """Soft-tissue part of one lesion at both studies.

    Parameters
    ----------
    prior_mm, current_mm : float
        Longest diameters.
    """

    prior_mm: float
    current_mm: float


def verdict_of(changes: Sequence[Change], name: str) -> Change | None:
    """Find a change by name.

    Parameters
    ----------
    changes : sequence of Change
        Of one lesion.
    name : str
        Such as ``"volume"``.

    Returns
    -------
    Change or None
        None where there is none.
    """
    return next((c for c in changes if c.name == name), None)


WITHOUT_BORDERS = "without borders"
"""Status of a lesion for which its vertebra stands in one study: that has no volume to compare."""

NOT_COMPARED = ("not covered", WITHOUT_BORDERS)
"""Statuses that say nothing of a course."""


def lesion_category(status: str, changes: Sequence[Change]) -> str:
    """Name what has become of one lesion, as MET-RADS would grade it.

    Parameters
    ----------
    status : str
        As in `LesionChange`.
    changes : sequence of Change
        Of this lesion.

    Returns
    -------
    str
        One of `RAC`, or ``"not assessable"``.
    """
    if status in NOT_COMPARED:
        return NOT_ASSESSABLE
    if status in ("new", "resolved"):
        return RAC[5] if status == "new" else RAC[1]
    volume, adc = verdict_of(changes, "volume"), verdict_of(changes, "ADC")
    size = "unchanged" if volume is None else volume.verdict
    epidural = verdict_of(changes, "epidural volume")
    if size != "decreased" and epidural is not None and epidural.verdict == "increased":
        size = "increased"
    water = None if adc is None else adc.current
    if size == "increased":
        return RAC[5] if water is not None and water < ACTIVE_ADC else RAC[4]
    rising = adc is not None and adc.verdict == "increased"
    if size == "decreased":
        return RAC[1] if rising or (water is not None and water > RESPONSE_ADC) else RAC[2]
    return RAC[2] if rising and water is not None and water > RESPONSE_ADC else RAC[3]


def caution(change: LesionChange, settings: ResponseSettings, *, irradiated: bool, dated: bool) -> str:
    """Say why an increase may not be progression.

    Parameters
    ----------
    change : LesionChange
        One lesion.
    settings : ResponseSettings
        Time in which swelling is expected.
    irradiated, dated : bool
        Whether its level was irradiated, and whether that has a date.

    Returns
    -------
    str
        Empty where nothing speaks for swelling.
    """
    volume = verdict_of(change.changes, "volume")
    grown = volume is not None and volume.verdict == "increased" and change.status == "matched"
    if not grown or not irradiated:
        return ""
    if not dated or change.days_since_radiotherapy is None:
        return "irradiated on an unknown date: whether this may be swelling is not assessable"
    if change.days_since_radiotherapy > settings.swelling_days:
        return ""
    return f"{change.days_since_radiotherapy} days after radiotherapy: may be pseudo-progression, which later goes back"


def recist(targets: Sequence[Target], lesions: Sequence[LesionChange], *, bone_judged: bool = True) -> Verdict:
    """Apply RECIST 1.1 to what bone lets it measure.

    Parameters
    ----------
    targets : sequence of Target
        Soft-tissue parts of matched and resolved lesions.
    lesions : sequence of LesionChange
        All suspicious lesions.
    bone_judged : bool, optional
        Whether lesions were sought in both studies.

    Returns
    -------
    Verdict
        The prior study stands for baseline and nadir, since no other is at hand.
    """
    name, note = "RECIST 1.1, spine alone", "the prior study is taken as baseline and nadir; other organs are not known"
    if not bone_judged:
        return Verdict(
            "recist_1_1", name, NOT_ASSESSABLE, (), "lesions were not sought in both studies", RECIST_REFERENCE
        )
    new = [x for x in lesions if x.status == "new"]
    measurable = sorted((t for t in targets if t.prior_mm >= MEASURABLE_MM), reverse=True)[:MAX_TARGETS]
    facts = [f"{len(measurable)} measurable soft-tissue part{'' if len(measurable) == 1 else 's'} of 10 mm or more"]
    if new:
        facts.append(f"{len(new)} new")
    before, after = sum(t.prior_mm for t in measurable), sum(t.current_mm for t in measurable)
    category = "no disease in the spine" if not lesions else "non-CR, non-PD (no measurable disease)"
    if measurable:
        percent = 100 * (after / before - 1)
        facts.append(f"sum of diameters {before:.0f} to {after:.0f} mm ({percent:+.0f} %)")
        category = "SD"
        if percent >= PROGRESS_PERCENT and after - before >= PROGRESS_MM:
            category = "PD"
        elif percent <= PARTIAL_PERCENT:
            category = "PR"
    if new:
        category = "PD"
    elif lesions and all(x.status == "resolved" for x in lesions):
        category = "CR in the spine"
    return Verdict("recist_1_1", name, category, tuple(facts), note, RECIST_REFERENCE)


def spino(lesions: Sequence[LesionChange], form: Mapping[str, Any]) -> Verdict:
    """Say which facts SPINO would call local progression at irradiated levels.

    Parameters
    ----------
    lesions : sequence of LesionChange
        All suspicious lesions.
    form : mapping of str to object
        The clinical form: radiotherapy, and neurological deterioration.

    Returns
    -------
    Verdict
        Facts alone; the verdict is a person's, after several studies.
    """
    name = "SPINO-style, irradiated levels"
    note = "facts for a person's verdict over several studies; recalled, not checked against the paper"
    if not form.get("radiotherapy"):
        why = f"no radiotherapy in the clinical form; {note}"
        return Verdict("spino", name, NOT_ASSESSABLE, (), why, SPINO_REFERENCE, verified=False)
    treated = [x for x in lesions if irradiated_at(form, x.level)]
    facts, swelling = [], False
    for x in treated:
        where = x.level or f"lesion {x.lesion or x.prior_lesion}"
        for what, words in (
            ("volume", "volume"),
            ("longest diameter", "longest diameter"),
            ("epidural volume", "epidural tumor"),
        ):
            change = verdict_of(x.changes, what)
            if x.status == "matched" and change is not None and change.verdict == "increased":
                facts.append(f"{where}: {words} increased")
        if x.status == "new":
            facts.append(f"{where}: new at an irradiated level")
        swelling |= bool(x.caution)
    if form.get("neurological_deterioration"):
        facts.append("neurological deterioration by the form")
    if not treated:
        return Verdict(
            "spino",
            name,
            NOT_ASSESSABLE,
            (),
            f"no lesion at an irradiated level; {note}",
            SPINO_REFERENCE,
            verified=False,
        )
    category = "no sign of local progression" if not facts else "signs of local progression"
    if facts and swelling:
        category = "increase within the time of pseudo-progression"
    return Verdict("spino", name, category, tuple(facts), note, SPINO_REFERENCE, verified=False)


def irradiated_at(form: Mapping[str, Any], level: str | None) -> list[Mapping[str, Any]]:
    """Find the courses of radiotherapy that a level was in.

    Parameters
    ----------
    form : mapping of str to object
        The clinical form.
    level : str or None
        A level.

    Returns
    -------
    list of mapping
        Courses that name the level, or no level at all.
    """
    return [
        r for r in form.get("radiotherapy", ()) if not r.get("levels") or (level is not None and level in r["levels"])
    ]


def met_rads(lesions: Sequence[LesionChange]) -> Verdict:
    """Give the MET-RADS-like category of the spine: that of most lesions, and the worst beside it.

    Parameters
    ----------
    lesions : sequence of LesionChange
        All suspicious lesions.

    Returns
    -------
    Verdict
        Of one region alone.
    """
    name, note = "MET-RADS-like, spine alone", "one region of fourteen; recalled, not checked against the paper"
    grades = [int(x.category[0]) for x in lesions if x.category[:1].isdigit()]
    if not grades:
        return Verdict("met_rads_like", name, NOT_ASSESSABLE, (), note, MET_RADS_REFERENCE, verified=False)
    most = max(set(grades), key=lambda g: (grades.count(g), g))
    facts = [f"{grades.count(g)} of category {g}" for g in sorted(set(grades))]
    if max(grades) != most:
        facts.append(f"worst: {RAC[max(grades)]}")
    return Verdict("met_rads_like", name, RAC[most], tuple(facts), note, MET_RADS_REFERENCE, verified=False)
