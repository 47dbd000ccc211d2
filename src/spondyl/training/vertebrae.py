"""Synthetic patients as the classifiers see them: crops of every vertebra and lesion, and what is true of each.

A patient is rendered once, with every sequence that was drawn, and kept as one file; training then leaves out
sequences and levels anew each time. Making them is resumable.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from spondyl.core import InputError, Structure
from spondyl.models.crops import Site, cut, lesion_site, vertebra_sites
from spondyl.models.study_inputs import study_input
from spondyl.phantom.anatomy import build_anatomy
from spondyl.phantom.kinds import CLASS_OF_KIND, LesionKind
from spondyl.training.anatomies import region_of
from spondyl.training.contrast import N_INSTANCES
from spondyl.training.lesion_synthesis import acquired, draw_unrest, imperfect_outlines, patient_texture
from spondyl.training.render import smooth
from spondyl.training.study_contrast import Series, study_contrasts

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from spondyl.phantom.anatomy import Anatomy
    from spondyl.phantom.pathology import LesionTruth

_log = logging.getLogger(__name__)

FIRST_PATIENT = 400_000
"""Seed of the first patient; outline networks learn from lower ones. All lie in `TRAINING_SEEDS`."""

CLASSES = ("normal", "benign", "malignant")
"""Classes; every subtype belongs to one."""

SUBTYPES: dict[str, str] = {
    "normal": "normal",
    "hemangioma": "benign",
    "fatty_marrow": "benign",
    "red_marrow": "benign",
    "bone_island": "benign",
    "degenerative": "benign",
    "schmorl_node": "benign",
    "fracture_osteoporotic": "benign",
    "infection": "benign",
    "intradural": "benign",
    "post_treatment": "benign",
    "metastasis_lytic": "malignant",
    "metastasis_sclerotic": "malignant",
    "metastasis_mixed": "malignant",
    "hematologic": "malignant",
    "primary_suspected": "malignant",
    "fracture_pathological": "malignant",
    "intradural_malignant": "malignant",
    "post_treatment_malignant": "malignant",
}
"""Class of each subtype, in the order of the networks' output: those of `LesionClass`, split where both kinds occur."""

HARD_MIMICS = frozenset(
    {
        LesionKind.HEMANGIOMA_ATYPICAL,
        LesionKind.RED_MARROW,
        LesionKind.BONE_ISLAND,
        LesionKind.MODIC_1,
        LesionKind.SCHMORL,
        LesionKind.SCHMORL_ACUTE,
        LesionKind.OSTEOPOROTIC_FRACTURE,
        LesionKind.FACET_EDEMA,
        LesionKind.DISCITIS,
    }
)
"""Benign findings that replace marrow fat as tumors do (Montoya 2023 for most of them). Chosen by us."""

GROUPS = tuple(CLASSES.index(name) for name in SUBTYPES.values())
"""Class of each subtype, as numbers."""

UNKNOWN = -1
"""Subtype of what is known by its class alone."""

SPACING_MM = (4.0, 1.5, 1.5)
"""Working grid of the classifiers; finer than the crops, which lie obliquely on it."""

EXTENT_MM = (80.0, 290.0, 190.0)
"""Field around the column; what lies farther is in no crop."""

SLICES_JOINED = 2
"""Slices of the anatomy that are averaged into one."""

LEAST_BODY_MM3 = 6000.0
"""A body of which the field of view holds less has no class. Chosen by us: a quarter of a lumbar body."""

LEAST_LESION_MM3 = 150.0
"""What is smaller is not seen on slices of 4 mm: neither a site of its own nor what makes a vertebra sick."""

MOST_LESIONS = 8
"""Lesions of a patient beyond this are not sites of their own; their vertebrae are."""

FALSE_FINDS = 1.5
"""Mean number of sites in a patient at which a finder of lesions would have been wrong. Chosen by us."""

ADDED_SHARE = {Series.T1CE: 0.4, Series.DIXON: 0.4, Series.DIFFUSION: 0.4}
"""Probability that a patient has each series besides T1, T2 and fluid. Chosen by us."""

LESION_MIXES = (("mixed", 0.78), ("benign", 0.14), ("none", 0.08))
"""Shares of patients by what the phantom may paint. Chosen by us."""

_BODY = (Structure.BODY, Structure.CORTEX, Structure.S1)
_BONE = (*_BODY, Structure.POSTERIOR)


@dataclass(frozen=True)
class SiteTruth:
    """What is true at one site.

    Parameters
    ----------
    kind : str
        Name of the `LesionKind` that decides; empty where normal.
    group : int
        Place in `CLASSES`.
    is_lesion : bool
        Whether a lesion is meant, and not a whole vertebra.
    position : float
        Place along the column, in vertebrae.
    level : str
        Level name; empty for lesions.
    volume_mm3 : float
        Volume of the lesion that decides; 0 where normal.
    """

    kind: str
    group: int
    is_lesion: bool
    position: float
    level: str
    volume_mm3: float

    @property
    def subtype(self) -> int:
        """Place in `SUBTYPES`, or `UNKNOWN`."""
        if not self.kind:
            return list(SUBTYPES).index("normal") if self.group == 0 else UNKNOWN
        name = CLASS_OF_KIND[LesionKind[self.kind]].value
        if self.group == CLASSES.index("malignant") and SUBTYPES[name] != "malignant":
            name += "_malignant"
        return list(SUBTYPES).index(name)

    @property
    def is_hard_mimic(self) -> bool:
        """Whether it is benign and easily taken for a tumor."""
        return bool(self.kind) and LesionKind[self.kind] in HARD_MIMICS


class PatientCrops(NamedTuple):
    """Everything that a classifier may learn from one patient.

    Parameters
    ----------
    crops : ndarray of float16, shape (n_sites, CROP_CHANNELS, *CROP_SHAPE)
        One box for each site.
    facts : ndarray of float32, shape (N_FACTS,)
        Facts of the study.
    sites : list of SiteTruth
        What is true of each.
    """

    crops: np.ndarray
    facts: np.ndarray
    sites: list[SiteTruth]


class _Whole:
    """A whole anatomy on slices as thick as a scanner's; see `spondyl.training.lesion_synthesis.Looked`."""

    def __init__(self, anatomy: Anatomy) -> None:
        n = anatomy.tissue.shape[0] // SLICES_JOINED * SLICES_JOINED
        self._maps = {
            name: torch.from_numpy(np.ascontiguousarray(getattr(anatomy, name)[:n]))
            for name in ("tissue", "structure", "lesion", "instance")
        }
        self._entry = (self._maps["tissue"].int() * N_INSTANCES + self._maps["instance"].int()).long()
        self.shape = (n // SLICES_JOINED, *anatomy.tissue.shape[1:])
        self.outside = torch.zeros(self.shape, dtype=torch.bool)

    def averaged(self, tables: np.ndarray) -> Tensor:
        values = torch.from_numpy(tables).flatten(1)[:, self._entry]
        return values.reshape(len(tables), self.shape[0], SLICES_JOINED, *self.shape[1:]).mean(2)

    def looked_up(self, table: np.ndarray) -> Tensor:
        return torch.from_numpy(table).flatten(-2)[..., self._entry[::SLICES_JOINED]]

    def map(self, name: str) -> Tensor:
        return self._maps[name][::SLICES_JOINED]


def make_patient(seed: int) -> PatientCrops:
    """Make one patient.

    Parameters
    ----------
    seed : int
        The patient's seed.

    Returns
    -------
    PatientCrops
        Crops and truth; the same for the same seed.
    """
    rng = np.random.default_rng([seed, 31])
    noise = torch.Generator().manual_seed(seed)
    spacing = (SPACING_MM[0] / SLICES_JOINED, *SPACING_MM[1:])
    mix = LESION_MIXES[rng.choice(len(LESION_MIXES), p=[share for _, share in LESION_MIXES])][0]
    anatomy = build_anatomy(seed, region=region_of(seed), spacing_mm=spacing, extent_mm=EXTENT_MM, lesions=mix)
    whole = _Whole(anatomy)
    unrest = draw_unrest(rng)
    texture = patient_texture(whole.shape, rng, noise, torch.device("cpu")) * unrest  # type: ignore[arg-type]
    wanted = [Series.T1, Series.T2, Series.FLUID, *(s for s, share in ADDED_SHARE.items() if rng.random() < share)]
    images: dict[Any, Tensor] = {}
    for series, contrast in study_contrasts(rng, wanted).items():
        images |= acquired(series, contrast, whole, texture, rng, noise, unrest=unrest)
    outlines = imperfect_outlines(whole.map("structure"), whole.map("lesion"), whole.map("instance"), rng, noise)
    channels, facts = study_input(images, outlines, SPACING_MM)
    found = outlines.argmax(0)
    sites, masks, truths = _vertebrae(anatomy, whole, found, rng)
    for extra in (_lesions(anatomy, whole, sites, rng, noise), _false_finds(whole, found, sites, rng, noise)):
        for site, mask, truth in extra:
            sites, masks, truths = [*sites, site], [*masks, mask], [*truths, truth]
    crops = [cut(channels, mask, site, SPACING_MM) for site, mask in zip(sites, masks, strict=True)]
    stack = torch.stack(crops).half().numpy() if crops else np.zeros((0,), np.float16)
    return PatientCrops(stack, facts.numpy(), truths)


def _volume(count: Any) -> float:
    return float(count) * float(np.prod(SPACING_MM))


def _vertebrae(
    anatomy: Anatomy, whole: _Whole, found: Tensor, rng: np.random.Generator
) -> tuple[list[Site], list[Tensor], list[SiteTruth]]:
    """Sites of the vertebrae whose body lies in the field, placed as a localizer would, not quite exactly."""
    instance = whole.map("instance")
    centers, masks, truths = [], [], []
    is_body = torch.isin(whole.map("structure"), torch.tensor([int(s) for s in _BODY]).byte())
    is_bone = torch.isin(found, torch.tensor([int(s) for s in _BONE]))
    for vertebra in anatomy.vertebrae:
        own = instance == vertebra.instance
        body = own & is_body
        if _volume(body.sum()) < LEAST_BODY_MM3:
            continue
        centers.append(torch.nonzero(body).float().mean(0).numpy() + rng.normal(0, [0.2, 1.0, 1.0]))
        masks.append(own & is_bone)
        truths.append((vertebra, _sickness(anatomy, whole, body | (own & is_bone))))
    sites = [s._replace(tilt_rad=s.tilt_rad + rng.normal(0, 0.06)) for s in vertebra_sites(centers, SPACING_MM)]
    rows = [_truth(lesion, site, level=vertebra.level) for (vertebra, lesion), site in zip(truths, sites, strict=True)]
    return sites, masks, rows


def _sickness(anatomy: Anatomy, whole: _Whole, bone: Tensor) -> LesionTruth | None:
    """Find the lesion that gives a vertebra its class: the largest malignant one, else the largest benign one."""
    covered = torch.bincount(whole.map("lesion")[bone].long(), minlength=256)
    seen = [t for t in anatomy.lesions if _volume(covered[t.label]) >= LEAST_LESION_MM3]
    return max(seen, key=lambda t: (t.malignant, int(covered[t.label])), default=None)


def _truth(lesion: LesionTruth | None, site: Site, *, level: str = "") -> SiteTruth:
    if lesion is None:
        return SiteTruth("", 0, site.is_lesion, site.position, level, 0.0)
    group = CLASSES.index("malignant" if lesion.malignant else "benign")
    volume_mm3 = float(lesion.volume_mm3)
    return SiteTruth(lesion.kind.name, group, site.is_lesion, site.position, level, volume_mm3)


def _lesions(
    anatomy: Anatomy, whole: _Whole, vertebrae: list[Site], rng: np.random.Generator, noise: torch.Generator
) -> list[tuple[Site, Tensor, SiteTruth]]:
    """Sites of lesions, outlined as a finder would, not quite exactly."""
    rows = []
    label = whole.map("lesion")
    large = [t for t in anatomy.lesions if _volume((label == t.label).sum()) >= LEAST_LESION_MM3]
    for lesion in [large[i] for i in rng.permutation(len(large))[:MOST_LESIONS]]:
        soft = functional.avg_pool3d((label == lesion.label)[None].float(), (1, 3, 3), 1, (0, 1, 1))[0]
        ragged = 0.25 * smooth((1, *whole.shape), 4.0, noise, soft.device)[0]
        mask = soft + ragged * (soft > 0) > rng.uniform(0.25, 0.6)
        if not bool(mask.any()):
            mask = soft > 0
        site = lesion_site(torch.nonzero(mask).float().mean(0).tolist(), vertebrae, SPACING_MM)
        rows.append((site, mask, _truth(lesion, site)))
    return rows


def _false_finds(
    whole: _Whole, found: Tensor, vertebrae: list[Site], rng: np.random.Generator, noise: torch.Generator
) -> list[tuple[Site, Tensor, SiteTruth]]:
    """Sites in healthy bone, as a finder of lesions that was wrong would give them."""
    rows: list[tuple[Site, Tensor, SiteTruth]] = []
    bone = torch.isin(found, torch.tensor([int(s) for s in _BONE]))
    places, axes = torch.nonzero(bone), [torch.arange(n).float() for n in whole.shape]
    if not len(places) or not vertebrae:
        return rows
    for _ in range(rng.poisson(FALSE_FINDS)):
        center = places[int(rng.integers(len(places)))].float()
        offsets = [(axis - c) * s for axis, c, s in zip(axes, center, SPACING_MM, strict=True)]
        squared = offsets[0][:, None, None] ** 2 + offsets[1][:, None] ** 2 + offsets[2] ** 2
        lumps = 1 + 0.3 * smooth((1, *whole.shape), 5.0, noise, squared.device)[0]
        mask = bone & (squared.sqrt() < rng.uniform(4, 11) * lumps)
        if _volume(mask.sum()) < LEAST_LESION_MM3 or float((whole.map("lesion")[mask] > 0).float().mean()) > 0.05:
            continue
        site = lesion_site(torch.nonzero(mask).float().mean(0).tolist(), vertebrae, SPACING_MM)
        rows.append((site, mask, _truth(None, site)))
    return rows


def make_cohort(folder: Path, seeds: range) -> int:
    """Make the patients of a range of seeds that are not there yet.

    Parameters
    ----------
    folder : Path
        Where they are kept.
    seeds : range
        From `spondyl.training.anatomies.TRAINING_SEEDS` for training; above for tests.

    Returns
    -------
    int
        How many were made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = 0
    for seed in seeds:
        path = folder / f"{seed:07d}.npy"
        if path.exists() or path.with_suffix(".json").exists():
            continue
        patient = make_patient(seed)
        save_patient(path, patient)
        made += 1
        _log.info("patient %d made, %d sites", seed, len(patient.sites))
    return made


def save_patient(path: Path, patient: PatientCrops) -> None:
    """Write a patient; the table appears last, and says that the patient is complete.

    Parameters
    ----------
    path : Path
        The file of the crops, ``.npy``; the table lies beside it as ``.json``.
    patient : PatientCrops
        The patient.
    """
    partial = path.with_suffix(".part")
    if len(patient.sites):
        with partial.open("wb") as stream:
            np.save(stream, patient.crops)
        partial.rename(path)
    table = {"facts": patient.facts.tolist(), "sites": [asdict(site) for site in patient.sites]}
    partial.write_text(json.dumps(table), encoding="utf-8")
    partial.rename(path.with_suffix(".json"))


def load_patient(path: Path) -> PatientCrops:
    """Open a patient.

    Parameters
    ----------
    path : Path
        The table, ``.json``.

    Returns
    -------
    PatientCrops
        Crops are memory-mapped.
    """
    table = json.loads(path.read_text(encoding="utf-8"))
    sites = [SiteTruth(**row) for row in table["sites"]]
    crops = np.load(path.with_suffix(".npy"), mmap_mode="r") if sites else np.zeros((0,), np.float16)
    return PatientCrops(crops, np.asarray(table["facts"], np.float32), sites)


def load_cohort(folder: Path) -> dict[int, PatientCrops]:
    """Open all patients of a folder without reading their crops.

    Parameters
    ----------
    folder : Path
        Where they are kept.

    Returns
    -------
    dict of int to PatientCrops
        By seed; crops are memory-mapped.

    Raises
    ------
    InputError
        If there are none.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        patient = load_patient(path)
        if patient.sites:
            found[int(path.stem)] = patient
    if not found:
        msg = f"no patients in {folder}; make some first with `python -m spondyl.training classifiers`"
        raise InputError(msg)
    return found
