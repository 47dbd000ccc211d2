"""Response to treatment: an analyzed study against an earlier one that was analyzed in the same way."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from spondyl import __version__
from spondyl.core import QualityFlag, StepRecord
from spondyl.core.response import LesionChange, Response
from spondyl.lesions.change import changes, height_change, soft_diameter_mm
from spondyl.lesions.compartments import Compartment
from spondyl.lesions.criteria import (
    NOT_COMPARED,
    WITHOUT_BORDERS,
    Target,
    caution,
    irradiated_at,
    lesion_category,
    met_rads,
    recist,
    spino,
)
from spondyl.lesions.heights import body_heights
from spondyl.lesions.match import match_lesions
from spondyl.lesions.register import DOUBTFUL_COST, pair_vertebrae, register
from spondyl.lesions.verdicts import has_borders

if TYPE_CHECKING:
    from spondyl.core import Case, Lesion
    from spondyl.core.response import VertebraMatch
    from spondyl.lesions.change import ResponseSettings
    from spondyl.lesions.match import Matches

POOR_FIT_MM = 2.5
"""Mean distance of registered surfaces from which a registration is doubted. Chosen by us: most of a thick slice."""

OUTLINING = ("localize", "lesions")
"""Steps whose networks decide what is compared."""

NOT_RATED = "not rated: not suspicious"
"""Category of a lesion that is more likely benign than not at both studies, or lies inside the dura."""

INSIDE_DURA = (Compartment.INTRADURAL.value, Compartment.INTRAMEDULLARY.value)


def compare(
    case: Case, prior: Case, settings: ResponseSettings, *, days: int | None = None, same_patient: str = "not checkable"
) -> Case:
    """Compare a study with an earlier one of the same patient.

    Parameters
    ----------
    case, prior : Case
        Analyzed.
    settings : ResponseSettings
        How.
    days : int, optional
        Time between the studies by their headers; that of the clinical form comes first.
    same_patient : str, optional
        ``"confirmed"`` or ``"not checkable"``.

    Returns
    -------
    Case
        With `response`, and flags for what limits it.
    """
    found, flags = _response(case, prior, settings)
    told = case.clinical.get("days_since_prior", days)
    found = replace(found, prior_case_id=prior.case_id, days_since_prior=told, same_patient=same_patient)
    record = StepRecord(
        "response",
        __version__,
        asdict(settings),
        methods=(
            "Each vertebra of a prior study was laid rigidly on the current one by the surfaces of the bodies; lesions "
            "were matched by overlap, and changes were held against limits of repeatability."
        ),
    )
    if told is None:
        text = (
            "How long ago the prior study was taken is not known: its files or those of the current study have no "
            "StudyDate. What rests on the time is not assessable; days_since_prior in the clinical form says it."
        )
        flags = (*flags, QualityFlag("prior_undated", text, severity="info"))
    if same_patient != "confirmed":
        flags = (
            *flags,
            QualityFlag("prior_not_checked", "Nothing in the files says that both studies are of one patient."),
        )
    if _elsewise(case, prior):
        text = "The prior result was made with other networks: part of a change may be theirs."
        flags = (*flags, QualityFlag("prior_other_networks", text))
    return case.with_(response=found, history=(*case.history, record)).flagged(*flags)


def _elsewise(case: Case, prior: Case) -> bool:
    """Whether other networks outlined the prior study."""
    then = {sha for record in prior.history for sha in record.models.values()}
    now = {sha for record in case.history if record.name in OUTLINING for sha in record.models.values()}
    return bool(then) and not now <= then


def _response(case: Case, prior: Case, settings: ResponseSettings) -> tuple[Response, tuple[QualityFlag, ...]]:
    if any("vertebrae" not in c.labels or "lesions" not in c.labels for c in (case, prior)):
        why = "lesions were not sought in both studies; see what limits each of them"
        return Response(assessable=False, reason=why), (_refused(why),)
    pairing = pair_vertebrae(case.vertebrae, prior.vertebrae)
    vertebrae = register(case, prior, pairing) if pairing.pairs else ()
    vertebrae = _with_heights(case, prior, vertebrae, settings)
    if not vertebrae:
        why = "the studies share fewer than two vertebrae; give a prior study of the same region"
        return Response(assessable=False, reason=why), (_refused(why),)
    flags = _doubts(pairing.cost, [m.residual_mm for m in vertebrae], against_levels=pairing.against_levels)
    matches = match_lesions(case, prior, vertebrae)
    lesions = _lesion_changes(case, prior, matches, settings)
    suspicious = [x for x in lesions if x.suspicious]
    verdicts = (
        recist(_targets(case, prior, matches, settings), suspicious),
        spino(suspicious, case.clinical),
        met_rads(suspicious),
    )
    return Response(assessable=True, vertebrae=vertebrae, lesions=lesions, verdicts=verdicts), flags


def _with_heights(
    case: Case, prior: Case, vertebrae: tuple[VertebraMatch, ...], settings: ResponseSettings
) -> tuple[VertebraMatch, ...]:
    """Note how the height of each body has changed where both studies show all of it."""
    now, then = (body_heights(c.labels["structures"], c.labels["vertebrae"]) for c in (case, prior))
    whole, whole_then = ({v.instance for v in c.vertebrae if not v.at_edge} for c in (case, prior))
    found = []
    for m in vertebrae:
        seen = m.instance in whole & now.keys() and m.prior_instance in whole_then & then.keys()
        change = height_change(now[m.instance], then[m.prior_instance], settings.height_percent) if seen else None
        found.append(replace(m, height=change))
    return tuple(found)


def _refused(why: str) -> QualityFlag:
    return QualityFlag("response_not_assessable", f"No comparison with the prior study: {why}.")


def _doubts(cost: float, residuals_mm: list[float], *, against_levels: bool) -> tuple[QualityFlag, ...]:
    flags = []
    if cost > DOUBTFUL_COST or float(np.median(residuals_mm)) > POOR_FIT_MM:
        text = "Vertebrae of the two studies differ in size and form: check that the prior study is of this patient."
        flags.append(QualityFlag("prior_doubtful", text))
    if against_levels:
        text = "Level names of the two studies disagree; vertebrae were matched by size and distance."
        flags.append(QualityFlag("levels_disagree_with_prior", text))
    return tuple(flags)


def _lesion_changes(case: Case, prior: Case, matches: Matches, settings: ResponseSettings) -> tuple[LesionChange, ...]:
    rows: list[tuple[str, Lesion | None, Lesion | None]] = [("matched", c, p) for c, p in matches.pairs]
    rows += [("new", c, None) for c in matches.new] + [("not covered", c, None) for c in matches.not_covered]
    rows.sort(key=lambda row: row[1].label if row[1] is not None else 0)
    rows += [("resolved", None, p) for p in matches.resolved]
    rows += [("not covered", None, p) for p in matches.prior_not_covered]
    return tuple(_lesion_change(status, (case, c), (prior, p), settings) for status, c, p in rows)


def _lesion_change(
    status: str, now: tuple[Case, Lesion | None], then: tuple[Case, Lesion | None], settings: ResponseSettings
) -> LesionChange:
    (case, c), (prior, p) = now, then
    either = [x for x in (c, p) if x is not None]
    status = status if all(has_borders(x) for x in either) else WITHOUT_BORDERS
    measured = (
        ()
        if status in NOT_COMPARED
        else changes(None if c is None else (case, c), None if p is None else (prior, p), settings)
    )
    level = either[0].level
    suspicious = any(
        x.probabilities.get("malignant", 0.0) >= settings.suspicious and x.compartment not in INSIDE_DURA
        for x in either
    )
    courses = irradiated_at(case.clinical, level)
    days = min((r["days_before_study"] for r in courses if r.get("days_before_study") is not None), default=None)
    change = LesionChange(
        status=status,
        lesion=None if c is None else c.label,
        prior_lesion=None if p is None else p.label,
        level=level,
        changes=measured,
        suspicious=suspicious,
        category=lesion_category(status, measured) if suspicious else NOT_RATED,
        days_since_radiotherapy=days,
    )
    return replace(change, caution=caution(change, settings, irradiated=bool(courses), dated=days is not None))


def _targets(case: Case, prior: Case, matches: Matches, settings: ResponseSettings) -> list[Target]:
    def suspect(lesion: Lesion) -> bool:
        return lesion.probabilities.get("malignant", 0.0) >= settings.suspicious

    kept = [
        Target(soft_diameter_mm(prior, p), soft_diameter_mm(case, c))
        for c, p in matches.pairs
        if suspect(c) or suspect(p)
    ]
    return kept + [Target(soft_diameter_mm(prior, p), 0.0) for p in matches.resolved if suspect(p)]
