"""Fourth step of the road: say what every vertebra and lesion candidate is, and how far that can be told."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import ndimage

from spondyl import __version__
from spondyl.core import SAGITTAL, Case, Image, LabelMap, ModelError, QualityFlag, SettingsError, StepRecord, reorient
from spondyl.lesions.described import described
from spondyl.lesions.verdicts import NO_BORDERS, outlined, overlooked, pooled
from spondyl.models.classify import classify, scheme_of
from spondyl.models.confidence import Scaling, entropy, prediction_set
from spondyl.models.crops import CROP_SHAPE, crop_places, lesion_site, vertebra_sites
from spondyl.models.space import resample
from spondyl.models.study import study_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Grid, Lesion
    from spondyl.models.classify import Classifier, Opinions, Scheme
    from spondyl.models.crops import Site
    from spondyl.models.study import Study

NEAR_LESION_MM = 12.0
"""Class activation is told this far around a lesion. Chosen by us: farther away it explains something else."""

SEVERAL_SERIES = 2
"""Series from which on a vertebra judged diseased can become a candidate: on one, uneven marrow looks diseased, too."""

NOT_JUDGED = QualityFlag(
    "classes_not_judged",
    "No series at hand shows marrow in a way the classifiers know, so no vertebra or lesion was given a class.",
)


@dataclass(frozen=True)
class ClassifySettings:
    """Settings of the step.

    Parameters
    ----------
    weight : float
        Share of the classifiers in the probabilities of a lesion; the rest is that of the network that found it.
        None by default: the shipped classifiers have not been shown to judge better than the finder.
    sets : bool
        Whether prediction sets are told; without them nothing is called indeterminate.
    finder : float
        Share of the network that outlined lesions in the probabilities of a vertebra; the rest is that of the
        classifiers, which never see an outline. Chosen on synthetic validation patients.
    company : float
        What the mean log-odds of malignancy of the other vertebrae add to those of one. Chosen by us, at less than
        half of what is best on synthetic validation patients, whose company is drawn.
    overlooked : float
        Probability of any lesion in a vertebra, judged on several series, from which it becomes a candidate although
        none was found in it; see `spondyl.lesions.verdicts`. With 1 none does. Chosen on synthetic validation
        patients.

    Raises
    ------
    SettingsError
        If one is out of range.
    """

    weight: float = 0.0
    sets: bool = True
    finder: float = 0.5
    company: float = 0.5
    overlooked: float = 0.6

    def __post_init__(self) -> None:
        for name in ("weight", "finder", "company", "overlooked"):
            if not 0 <= getattr(self, name) <= 1:
                msg = f"classify.{name} must lie between 0 and 1, got {getattr(self, name)}"
                raise SettingsError(msg)


class Asked(NamedTuple):
    """The sites of a case on the working grid: first the vertebrae, then the lesions.

    Parameters
    ----------
    sites : list of Site
        Where a class is asked for.
    masks : list of ndarray of bool
        What is meant at each.
    """

    sites: list[Site]
    masks: list[NDArray[np.bool_]]


def classify_findings(
    case: Case,
    settings: ClassifySettings,
    *,
    context: Classifier,
    resnet: Classifier,
    densenet: Classifier,
    ahead: Study | None = None,
) -> Case:
    """Give every vertebra and lesion of a case its class.

    Parameters
    ----------
    case : Case
        Localized, with its lesion candidates.
    settings : ClassifySettings
        How.
    context, resnet, densenet : Classifier
        Networks that were trained and calibrated together; the card of the first tells the prediction sets.
    ahead : Study, optional
        From `study_to_classify`, of the same images.

    Returns
    -------
    Case
        With probabilities, subtype, prediction set and uncertainty of vertebrae and lesions, lesions and their labels
        in the order of the new probability of malignancy, candidates in vertebrae judged diseased that had none, and
        the map ``"saliency"`` raised where an image speaks for malignancy.
    """
    networks = (context, resnet, densenet)
    study = ahead or (study_of(case, context.card) if "structures" in case.labels else None)
    if study is None:
        return _recorded(case.flagged(NOT_JUDGED), settings, networks)
    asked = sites_of(case, study.grid)
    if not asked.sites:
        return _recorded(case, settings, networks)
    opinions = classify(study, asked.sites, asked.masks, networks)
    n, several = len(case.vertebrae), len(study.slots) >= SEVERAL_SERIES
    if n and "lesions" in case.labels:
        told = outlined(case, whole=several)
        opinions = _shared(opinions, told, scheme_of(context.card), settings)
    said = [_fields(opinions, row, context, settings, of_vertebra=row < n) for row in range(len(asked.sites))]
    vertebrae = tuple(replace(v, **fields) for v, fields in zip(case.vertebrae, said[:n], strict=True))
    saliency = _activated(case, asked.sites[n:], opinions.activation[n:], study.grid, say=opinions.activation_say)
    lesions = [_weighed(x, replace(x, **fields), settings) for x, fields in zip(case.lesions, said[n:], strict=True)]
    case = case.with_(vertebrae=vertebrae, lesions=tuple(lesions), maps={**case.maps, **saliency})
    if "lesions" in case.labels and several and settings.overlooked < 1:
        case = _looked_again(case, settings, tuple(s.value for s in study.sequences))
    return _recorded(_in_order(case), settings, networks)


def study_to_classify(case: Case, _: ClassifySettings, *, context: Classifier, **_others: Classifier) -> Study | None:
    """Cut out what the classifiers will look at.

    Parameters
    ----------
    case : Case
        Localized.
    _ : ClassifySettings
        Settings of the step.
    context : Classifier
        Whose card tells the spacing.
    **_others : Classifier
        The other networks of the step.

    Returns
    -------
    Study or None
        None where there is nothing to look at.
    """
    return study_of(case, context.card) if "structures" in case.labels else None


def _shared(opinions: Opinions, told: NDArray[np.float64], scheme: Scheme, settings: ClassifySettings) -> Opinions:
    """Let the network that outlined lesions, and the other vertebrae, share in the classes of vertebrae."""
    place = [scheme.classes.index(name) for name in ("normal", "benign", "malignant")]
    classes, subtypes, n = opinions.classes.copy(), opinions.subtypes.copy(), len(told)
    classes[:n, place] = pooled(opinions.classes[:n][:, place], told, share=settings.finder, company=settings.company)
    subtypes[:n] *= (classes[:n] / np.maximum(opinions.classes[:n], 1e-12))[:, list(scheme.groups)]
    return opinions._replace(classes=classes, subtypes=subtypes)


def _fields(
    opinions: Opinions, row: int, context: Classifier, settings: ClassifySettings, *, of_vertebra: bool
) -> dict[str, Any]:
    """Give what the record holds of one opinion."""
    scheme = scheme_of(context.card)
    classes, subtypes = opinions.classes[row], opinions.subtypes[row]
    quantiles = _quantiles(context, len(scheme.classes))
    fitted = context.card.details.get("ensemble", {}).get("vertebrae") if of_vertebra else None
    if fitted is not None:
        before = classes
        classes = Scaling(float(fitted["sharpness"]), tuple(fitted["offsets"]))(before)
        subtypes = subtypes * (classes / np.maximum(before, 1e-12))[list(scheme.groups)]
        quantiles = list(fitted["quantiles"])
    names: tuple[str, ...] = ()
    if settings.sets:
        names = prediction_set(classes, quantiles, scheme.classes)
    return {
        "probabilities": {name: float(classes[scheme.classes.index(name)]) for name in reversed(scheme.classes)},
        "subtype": scheme.subtypes[int(np.argmax(np.where(_among(names, scheme), subtypes, -1)))],
        "subtype_probabilities": {name: float(p) for name, p in zip(scheme.subtypes, subtypes, strict=True)},
        "prediction_set": names or (() if settings.sets else (scheme.classes[int(np.argmax(classes))],)),
        "uncertainty": float(np.clip(max(entropy(classes), 2 * opinions.disagreement[row]), 0, 1)),
    }


def _among(names: tuple[str, ...], scheme: Scheme) -> NDArray[np.bool_]:
    """Which subtypes are of the classes that were named; all where none was."""
    among: NDArray[np.bool_] = np.isin(scheme.groups, [scheme.classes.index(n) for n in names or scheme.classes])
    return among


def _looked_again(case: Case, settings: ClassifySettings, used: tuple[str, ...]) -> Case:
    """Add candidates in vertebrae judged diseased in which nothing was found, with the classes of the vertebra."""
    found = overlooked(case, settings.overlooked)
    if not found:
        return case
    labels, lesions = case.labels["lesions"], list(case.lesions)
    array, names = labels.array.copy(), dict(labels.names)
    first = max(int(array.max()), *(lesion.label for lesion in lesions), 0) + 1
    for label, (vertebra, candidate) in enumerate(found, start=first):
        array[candidate.box][candidate.where] = label
        names[label] = f"lesion {label}"
        found_there = described(label, candidate, case, used)
        lesions.append(
            replace(
                found_there,
                measurements=(NO_BORDERS, *found_there.measurements),
                subtype=vertebra.subtype,
                subtype_probabilities=vertebra.subtype_probabilities,
                prediction_set=vertebra.prediction_set,
            )
        )
    case = case.with_(lesions=tuple(lesions), labels={**case.labels, "lesions": LabelMap(array, labels.grid, names)})
    return case.flagged(_without_borders(len(found)))


def _without_borders(n: int) -> QualityFlag:
    text = (
        f"{n} candidate{'s' if n > 1 else ''} stand{'s' if n == 1 else ''} for a vertebra judged diseased of which "
        "hardly anything had been outlined: trust the vertebra, not the outline or the volume."
    )
    return QualityFlag("without_borders", text, severity="info")


def _weighed(found: Lesion, judged: Lesion, settings: ClassifySettings) -> Lesion:
    """Let finder and classifiers share in the probabilities of a lesion."""
    w = settings.weight
    shared = {name: w * p + (1 - w) * found.probabilities.get(name, 0.0) for name, p in judged.probabilities.items()}
    return replace(judged, probabilities=shared, uncertainty=float(entropy(list(shared.values()))))


def _quantiles(context: Classifier, n_classes: int) -> list[float]:
    table = context.card.details.get("ensemble", {})
    quantiles = list(table.get("quantiles", ()))
    if len(quantiles) != n_classes:
        msg = f"the card of {context.name} tells no prediction sets for {n_classes} classes; name another model"
        raise ModelError(msg)
    return quantiles


def sites_of(case: Case, grid: Grid) -> Asked:
    """Lay the vertebrae and lesions of a case on the working grid.

    Parameters
    ----------
    case : Case
        Localized.
    grid : Grid
        The working grid.

    Returns
    -------
    Asked
        First the vertebrae, then the lesions, in the order of the case.
    """
    spacing_mm = grid.spacing_mm
    centers = [grid.lps_to_ijk(v.centroid_lps_mm) for v in case.vertebrae]
    sites = vertebra_sites(np.reshape(centers, (-1, 3)), spacing_mm)
    masks = _masks(case.labels["vertebrae"], grid, [v.instance for v in case.vertebrae]) if sites else []
    if case.lesions and "lesions" in case.labels:
        # Order matters to no one but the networks: vertebrae first, whose sites tell direction and place of lesions.
        found = [lesion_site(grid.lps_to_ijk(x.centroid_lps_mm).tolist(), sites, spacing_mm) for x in case.lesions]
        masks = [*masks, *_masks(case.labels["lesions"], grid, [x.label for x in case.lesions])]
        sites = [*sites, *found]
    return Asked(sites, masks)


def _masks(labels: LabelMap, grid: Grid, numbers: list[int]) -> list[NDArray[np.bool_]]:
    """Sample single labels on the working grid, each at its majority."""
    turned = labels.grid.reoriented(SAGITTAL)
    array = reorient(labels.array, labels.grid.orientation, SAGITTAL)
    return [resample((array == number).astype(np.float32), turned, grid) > 0.4 for number in numbers]


def _in_order(case: Case) -> Case:
    """Put lesions in the order of their new probability of malignancy, and number them and their labels anew."""
    order = sorted(case.lesions, key=lambda x: -x.probabilities["malignant"])
    if not order:
        return case
    labels = case.labels["lesions"]
    new = np.zeros(int(labels.array.max()) + 1, np.uint16)
    for number, lesion in enumerate(order, start=1):
        new[lesion.label] = number
    renamed = {int(new[old]): name.replace(str(old), str(new[old])) for old, name in labels.names.items() if old}
    numbered = LabelMap(new[labels.array], labels.grid, renamed)
    renumbered = tuple(replace(lesion, label=number) for number, lesion in enumerate(order, start=1))
    return case.with_(lesions=renumbered, labels={**case.labels, "lesions": numbered})


def _activated(
    case: Case, sites: list[Site], activation: NDArray[np.float32], working: Grid, *, say: float
) -> dict[str, Image]:
    """Raise the saliency around lesions to where networks saw evidence for malignancy, as far as they have a say."""
    if not sites or "saliency" not in case.maps:
        return {}
    grid = case.maps["saliency"].grid
    saliency = case.maps["saliency"].array.copy()
    boxes = ndimage.find_objects(case.labels["lesions"].array)
    margin = np.ceil(NEAR_LESION_MM / np.asarray(grid.spacing_mm)).astype(int)
    for lesion, site, seen in zip(case.lesions, sites, activation, strict=True):
        evidence = np.maximum(seen, 0)
        box = boxes[lesion.label - 1] if lesion.label <= len(boxes) else None
        if box is None or evidence.max() <= 0:
            continue
        near = tuple(slice(max(s.start - m, 0), s.stop + m) for s, m in zip(box, margin, strict=True))
        part = saliency[near]
        first = np.array([s.start for s in near])
        voxels = np.moveaxis(np.indices(part.shape), 0, -1).reshape(-1, 3) + first
        at = crop_places(site, working.lps_to_ijk(grid.ijk_to_lps(voxels)), working.spacing_mm)
        at = (at + 0.5) * np.asarray(evidence.shape) / np.asarray(CROP_SHAPE) - 0.5
        shown = ndimage.map_coordinates(evidence / evidence.max(), at.T, order=1, mode="constant")
        saliency[near] = np.maximum(part, say * lesion.probabilities["malignant"] * shown.reshape(part.shape))
    return {"saliency": Image(np.clip(saliency, 0, 1), grid)}


def _recorded(case: Case, settings: ClassifySettings, networks: tuple[Classifier, ...]) -> Case:
    record = StepRecord(
        "classify",
        __version__,
        asdict(settings),
        {network.name: network.sha256 for network in networks},
        methods=(
            "Every vertebra and lesion candidate was classed as normal, benign or malignant, with a subtype, by the "
            "weighted mean of a transformer over all levels and sequences, a 3D ResNet and a 3D DenseNet, trained on "
            "synthetic patients alone and calibrated by temperature on others; the network that outlined lesions "
            "shares in the probabilities of lesions and vertebrae, prediction sets are split conformal. A vertebra "
            "judged diseased on several series in which nothing was found became a candidate itself."
        ),
    )
    return case.with_(history=(*case.history, record))
