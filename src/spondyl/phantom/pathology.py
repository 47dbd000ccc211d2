"""What can be wrong in a vertebra: tumors and the common mimics, painted into a finished anatomy.

Appearance follows from the tissues painted here and `spondyl.phantom.relaxation`; places and shares follow published
series: metastases begin in the back of the body (Algra 1992, doi 10.1148/radiographics.12.1.1734475), hemangiomas
occur in 28 % and focal fat in 13 % of adults (Kasch 2019, doi 10.1007/s00586-019-05928-z).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import SettingsError, Structure
from spondyl.phantom.bones import body_distance
from spondyl.phantom.canvas import smooth_noise
from spondyl.phantom.tissue import Tissue

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from spondyl.phantom.canvas import Box, Canvas, Field
    from spondyl.phantom.vertebra import VertebraShape


class LesionKind(StrEnum):
    """What a lesion is."""

    LYTIC = "lytic metastasis"
    SCLEROTIC = "sclerotic metastasis"
    MIXED = "mixed metastasis"
    DIFFUSE = "diffuse infiltration"
    PATHOLOGICAL_FRACTURE = "pathological fracture"
    HEMANGIOMA = "hemangioma"
    HEMANGIOMA_ATYPICAL = "atypical hemangioma"
    FATTY = "focal fatty marrow"
    RED_MARROW = "red marrow island"
    BONE_ISLAND = "bone island"
    MODIC_1 = "Modic 1 endplate change"
    MODIC_2 = "Modic 2 endplate change"
    MODIC_3 = "Modic 3 endplate change"
    SCHMORL = "Schmorl node"
    OSTEOPOROTIC_FRACTURE = "osteoporotic fracture"


MALIGNANT = frozenset(
    {LesionKind.LYTIC, LesionKind.SCLEROTIC, LesionKind.MIXED, LesionKind.DIFFUSE, LesionKind.PATHOLOGICAL_FRACTURE}
)

_MALIGNANT_SHARES = {
    LesionKind.LYTIC: 0.5,
    LesionKind.SCLEROTIC: 0.22,
    LesionKind.MIXED: 0.18,
    LesionKind.PATHOLOGICAL_FRACTURE: 0.1,
}
_BENIGN_SHARES = {
    LesionKind.HEMANGIOMA: 0.2,
    LesionKind.HEMANGIOMA_ATYPICAL: 0.06,
    LesionKind.FATTY: 0.14,
    LesionKind.RED_MARROW: 0.08,
    LesionKind.BONE_ISLAND: 0.05,
    LesionKind.MODIC_1: 0.12,
    LesionKind.MODIC_2: 0.15,
    LesionKind.MODIC_3: 0.03,
    LesionKind.SCHMORL: 0.1,
    LesionKind.OSTEOPOROTIC_FRACTURE: 0.07,
}

DIFFUSE_SHARE = 0.06
"""Share of malignant patients whose whole marrow is infiltrated. Chosen by us."""

_BONE = (Structure.BODY, Structure.CORTEX, Structure.POSTERIOR, Structure.S1, Structure.SACRUM)


@dataclass(frozen=True)
class LesionTruth:
    """What is true of one lesion of the phantom.

    Parameters
    ----------
    label : int
        Its number in the lesion map.
    kind : LesionKind
        What it is.
    malignant : bool
        Whether it is a tumor that spreads.
    level : str
        Level it lies in.
    instance : int
        That vertebra's number.
    volume_mm3 : float
        Painted volume.
    epidural, paraspinal : bool
        Whether it grows into the canal or the soft tissue.
    """

    label: int
    kind: LesionKind
    malignant: bool
    level: str
    instance: int
    volume_mm3: float
    epidural: bool
    paraspinal: bool


def paint_lesions(
    rng: np.random.Generator, canvas: Canvas, shapes: list[VertebraShape], mix: str
) -> tuple[LesionTruth, ...]:
    """Paint a patient's lesions.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all variation.
    canvas : Canvas
        A finished anatomy, painted in place.
    shapes : list of VertebraShape
        The column, from S5 upward.
    mix : str
        ``"mixed"``, ``"malignant"``, ``"benign"`` or ``"none"``.

    Returns
    -------
    tuple of LesionTruth
        What was painted, in order of label.

    Raises
    ------
    SettingsError
        If the mix is not known.
    """
    if mix not in ("mixed", "malignant", "benign", "none"):
        msg = f"lesions are mixed, malignant, benign or none; got {mix!r}"
        raise SettingsError(msg)
    if mix == "none":
        return ()
    numbers = {s.level: len(shapes) - i for i, s in enumerate(shapes)}
    present = set(np.unique(canvas.instance).tolist())
    hosts = [s for s in shapes if numbers[s.level] in present and s.level not in ("S3", "S4", "S5", "C1")]
    if not hosts:
        return ()
    plan = _plan(rng, hosts, mix)
    for number, (shape, kind) in enumerate(plan, start=1):
        _PAINTERS[kind](rng, canvas, shape, number)
    # A lesion may miss the grid or lie under later ones: only now is it known what each of them covers.
    visible = np.unique(canvas.lesion[canvas.lesion > 0]).tolist()
    relabel = np.zeros(len(plan) + 1, np.uint8)
    relabel[visible] = np.arange(1, len(visible) + 1)
    canvas.lesion[:] = relabel[canvas.lesion]
    painted = [plan[number - 1] for number in visible]
    return tuple(
        _measure(canvas, label, kind, shape.level, numbers[shape.level])
        for label, (shape, kind) in enumerate(painted, start=1)
    )


def _plan(rng: np.random.Generator, hosts: list[VertebraShape], mix: str) -> list[tuple[VertebraShape, LesionKind]]:
    """Choose which vertebra gets what; larger bodies get more (more marrow)."""
    weight = np.array([s.half_width_mm * s.half_depth_mm * s.height_mm for s in hosts])
    weight /= weight.sum()
    sick = mix == "malignant" or (mix == "mixed" and rng.random() < 0.6)
    plan: list[tuple[VertebraShape, LesionKind]] = []
    if sick and rng.random() < DIFFUSE_SHARE:
        return [(s, LesionKind.DIFFUSE) for s in hosts]
    if sick:
        kinds, shares = list(_MALIGNANT_SHARES), list(_MALIGNANT_SHARES.values())
        plan += [
            (hosts[rng.choice(len(hosts), p=weight)], kinds[rng.choice(len(kinds), p=shares)])
            for _ in range(1 + rng.poisson(1.8))
        ]
    if mix != "malignant":
        kinds, shares = list(_BENIGN_SHARES), list(_BENIGN_SHARES.values())
        plan += [
            (hosts[rng.integers(len(hosts))], kinds[rng.choice(len(kinds), p=shares)])
            for _ in range(rng.poisson(2.0 if mix == "mixed" else 3.0))
        ]
    return plan


def _measure(canvas: Canvas, label: int, kind: LesionKind, level: str, instance: int) -> LesionTruth:
    where = canvas.lesion == label
    structure = canvas.structure[where]
    return LesionTruth(
        label=label,
        kind=kind,
        malignant=kind in MALIGNANT,
        level=level,
        instance=instance,
        volume_mm3=len(structure) * canvas.grid.voxel_volume_mm3,
        epidural=bool((structure == Structure.CANAL).sum() * canvas.grid.voxel_volume_mm3 > 30),
        paraspinal=bool((structure == Structure.BACKGROUND).sum() * canvas.grid.voxel_volume_mm3 > 100),
    )


def _around(canvas: Canvas, shape: VertebraShape) -> tuple[Box, tuple[Field, Field, Field]] | None:
    a, b, h = shape.half_depth_mm, shape.half_width_mm, shape.height_mm
    box = canvas.box(shape.center_lps_mm, (b + 22, a + 18, h * 0.9 + 12), (b + 22, a + 45, h * 0.9 + 12))
    return None if box is None else (box, canvas.local(box, shape))


def _bone(canvas: Canvas, box: Box) -> NDArray[np.bool_]:
    return np.isin(canvas.structure[box], _BONE)


def _mark(canvas: Canvas, box: Box, where: NDArray[np.bool_], label: int, tissue: int) -> None:
    canvas.tissue[box][where] = tissue
    canvas.lesion[box][where] = label


def _blob(
    rng: np.random.Generator,
    canvas: Canvas,
    at: tuple[Field, Field, Field],
    place: tuple[tuple[float, float, float], float, float],
) -> Field:
    """Signed distance to a lumpy ball: center (v, u, w), radius and lumpiness."""
    (v0, u0, w0), radius, lumps = place
    v, u, w = at
    stretch = np.exp(rng.normal(0, 0.2, 3))
    r = np.sqrt(((v - v0) * stretch[0]) ** 2 + ((u - u0) * stretch[1]) ** 2 + ((w - w0) * stretch[2]) ** 2)
    noise = smooth_noise(rng, r.shape, canvas.grid.spacing_mm, max(3.0, radius * 0.8))
    return (r - radius * (1 + lumps * noise)).astype(np.float32)


def _tumor_place(rng: np.random.Generator, shape: VertebraShape) -> tuple[tuple[float, float, float], float]:
    """Center in the back half of the body more often than not, and a log-normal radius."""
    u = rng.uniform
    a, b, h = shape.half_depth_mm, shape.half_width_mm, shape.height_mm
    radius = float(np.clip(rng.lognormal(np.log(8.5), 0.4), 3.5, 24))
    center = (u(-0.75, 0.75) * b, u(-0.3, 0.95) * a if rng.random() < 0.75 else u(-0.8, 0.5) * a, u(-0.35, 0.35) * h)
    return center, radius


def _lytic(rng: np.random.Generator, canvas: Canvas, shape: VertebraShape, label: int) -> None:
    found = _around(canvas, shape)
    if found is None:
        return
    box, at = found
    center, radius = _tumor_place(rng, shape)
    d = _blob(rng, canvas, at, (center, radius, 0.15))
    _mark(canvas, box, (d < 0) & _bone(canvas, box), label, Tissue.TUMOR_LYTIC)
    if radius > 11 and rng.random() < 0.3:
        _mark(canvas, box, (d < -radius * 0.55) & _bone(canvas, box), label, Tissue.TUMOR_NECROSIS)
    _grow_out(rng, canvas, box, d, label)


def _grow_out(rng: np.random.Generator, canvas: Canvas, box: Box, d: Field, label: int) -> None:
    """Let a tumor pass the cortex into the epidural space or the soft tissue, never into disc or cord."""
    structure, tissue = canvas.structure[box], canvas.tissue[box]
    if rng.random() < 0.45:
        epidural = (structure == Structure.CANAL) & (d < rng.uniform(-1, 3))
        _mark(canvas, box, epidural, label, Tissue.TUMOR_SOFT)
    if rng.random() < 0.3:
        soft = (structure == Structure.BACKGROUND) & (tissue != Tissue.AIR) & (d < rng.uniform(-1, 2))
        _mark(canvas, box, soft, label, Tissue.TUMOR_SOFT)


def _sclerotic(rng: np.random.Generator, canvas: Canvas, shape: VertebraShape, label: int) -> None:
    found = _around(canvas, shape)
    if found is None:
        return
    box, at = found
    center, radius = _tumor_place(rng, shape)
    d = _blob(rng, canvas, at, (center, radius, 0.22))
    if rng.random() < 0.4:
        _mark(canvas, box, (d < 2.0) & _bone(canvas, box), label, Tissue.EDEMA)
    _mark(canvas, box, (d < 0) & _bone(canvas, box), label, Tissue.TUMOR_SCLEROTIC)


def _mixed(rng: np.random.Generator, canvas: Canvas, shape: VertebraShape, label: int) -> None:
    found = _around(canvas, shape)
    if found is None:
        return
    box, at = found
    center, radius = _tumor_place(rng, shape)
    d = _blob(rng, canvas, at, (center, radius * 1.15, 0.15))
    inside = (d < 0) & _bone(canvas, box)
    _mark(canvas, box, inside, label, Tissue.TUMOR_LYTIC)
    patches = smooth_noise(rng, d.shape, canvas.grid.spacing_mm, rng.uniform(4, 8)) > rng.uniform(-0.3, 0.6)
    _mark(canvas, box, inside & patches, label, Tissue.TUMOR_SCLEROTIC)
    _grow_out(rng, canvas, box, d, label)


def _diffuse(rng: np.random.Generator, canvas: Canvas, shape: VertebraShape, label: int) -> None:
    found = _around(canvas, shape)
    if found is None:
        return
    box, _ = found
    marrow = np.isin(canvas.tissue[box], (Tissue.MARROW, Tissue.POSTERIOR_MARROW, Tissue.SACRAL_MARROW))
    own = marrow & (_own_instance(canvas, shape) == canvas.instance[box])
    patches = smooth_noise(rng, own.shape, canvas.grid.spacing_mm, rng.uniform(3, 9)) > -rng.uniform(0.6, 2.5)
    _mark(canvas, box, own & patches, label, Tissue.TUMOR_DIFFUSE)


def _own_instance(canvas: Canvas, shape: VertebraShape) -> int:
    """Number of the vertebra whose center this shape has, read from the map (0 where the center lies outside)."""
    ijk = np.round(canvas.grid.lps_to_ijk(shape.center_lps_mm)).astype(int)
    inside = np.clip(ijk, 0, np.asarray(canvas.grid.shape) - 1)
    return int(canvas.instance[tuple(inside)])


def _spot(tissue: Tissue, radius_mm: tuple[float, float], lumps: float) -> Callable[..., None]:
    """Make a painter of a ball of one tissue inside the marrow of the body."""

    def paint(rng: np.random.Generator, canvas: Canvas, shape: VertebraShape, label: int) -> None:
        found = _around(canvas, shape)
        if found is None:
            return
        box, at = found
        a, b, h = shape.half_depth_mm, shape.half_width_mm, shape.height_mm
        u = rng.uniform
        center = (u(-0.7, 0.7) * b, u(-0.7, 0.7) * a, u(-0.35, 0.35) * h)
        radius = min(u(*radius_mm), 0.6 * h)
        d = _blob(rng, canvas, at, (center, radius, lumps))
        _mark(canvas, box, (d < 0) & np.isin(canvas.structure[box], (Structure.BODY, Structure.S1)), label, tissue)

    return paint


def _modic(tissue: Tissue) -> Callable[..., None]:
    """Make a painter of a band along one endplate of a body, the lower one more often than not."""

    def paint(rng: np.random.Generator, canvas: Canvas, shape: VertebraShape, label: int) -> None:
        found = _around(canvas, shape)
        if found is None:
            return
        box, (v, u, w) = found
        distance = body_distance(v, u, w, shape)
        depth = rng.uniform(3, 10) * (1 + 0.3 * smooth_noise(rng, v.shape, canvas.grid.spacing_mm, 8))
        near = distance.bottom if rng.random() < 0.7 else distance.top
        front = u < rng.uniform(-0.2, 1.0) * shape.half_depth_mm
        where = (near > -depth) & (near < 0) & front & np.isin(canvas.structure[box], (Structure.BODY, Structure.S1))
        _mark(canvas, box, where, label, tissue)

    return paint


def _schmorl(rng: np.random.Generator, canvas: Canvas, shape: VertebraShape, label: int) -> None:
    found = _around(canvas, shape)
    if found is None:
        return
    box, (v, u, w) = found
    distance = body_distance(v, u, w, shape)
    a, b = shape.half_depth_mm, shape.half_width_mm
    near = distance.bottom if rng.random() < 0.6 else distance.top
    v0, u0, r = rng.uniform(-0.4, 0.4) * b, rng.uniform(-0.3, 0.4) * a, rng.uniform(4, 8)
    q = np.sqrt((v - v0) ** 2 + (u - u0) ** 2 + (np.minimum(near, 0) * 1.1) ** 2)
    body = np.isin(canvas.structure[box], (Structure.BODY, Structure.CORTEX, Structure.S1)) & (near < 0)
    if rng.random() < 0.5:
        _mark(
            canvas, box, body & (q < r + rng.uniform(2, 5)) & (canvas.tissue[box] != Tissue.CORTEX), label, Tissue.EDEMA
        )
    _mark(canvas, box, body & (q < r), label, Tissue.CORTEX)
    _mark(canvas, box, body & (q < r - 1.2), label, Tissue.ANNULUS)


def _fracture(tissue: Tissue) -> Callable[..., None]:
    """Make a painter of a fractured body: a band of edema or tumor under an endplate, with a dark line."""

    def paint(rng: np.random.Generator, canvas: Canvas, shape: VertebraShape, label: int) -> None:
        found = _around(canvas, shape)
        if found is None:
            return
        box, (v, u, w) = found
        malignant = tissue == Tissue.TUMOR_LYTIC
        distance = body_distance(v, u, w, shape)
        # Below its own upper endplate: the box reaches into the body above.
        body = (canvas.structure[box] == Structure.BODY) & (distance.top < 0)
        if not body.any():
            return
        depth = shape.height_mm * (rng.uniform(0.7, 1.0) if malignant else rng.uniform(0.25, 0.6))
        noise = smooth_noise(rng, v.shape, canvas.grid.spacing_mm, 8)
        _mark(canvas, box, body & (distance.top > -depth * (1 + 0.12 * noise)), label, tissue)
        if not malignant:
            line = np.abs(distance.top + rng.uniform(3, 7) + 0.8 * noise) < 0.8
            _mark(canvas, box, body & line, label, Tissue.FRACTURE_LINE)
            return
        arch = (canvas.structure[box] == Structure.POSTERIOR) & (u < shape.half_depth_mm + 9)
        if rng.random() < 0.6:
            side = v > 0 if rng.random() < 0.5 else v < 0
            _mark(canvas, box, arch & side & (_own_instance(canvas, shape) == canvas.instance[box]), label, tissue)
        _grow_out(rng, canvas, box, distance.inside - 2.5, label)

    return paint


_PAINTERS: dict[LesionKind, Callable[..., None]] = {
    LesionKind.LYTIC: _lytic,
    LesionKind.SCLEROTIC: _sclerotic,
    LesionKind.MIXED: _mixed,
    LesionKind.DIFFUSE: _diffuse,
    LesionKind.PATHOLOGICAL_FRACTURE: _fracture(Tissue.TUMOR_LYTIC),
    LesionKind.HEMANGIOMA: _spot(Tissue.HEMANGIOMA, (4, 13), 0.1),
    LesionKind.HEMANGIOMA_ATYPICAL: _spot(Tissue.HEMANGIOMA_ATYPICAL, (4, 13), 0.1),
    LesionKind.FATTY: _spot(Tissue.FATTY_MARROW, (3, 12), 0.25),
    LesionKind.RED_MARROW: _spot(Tissue.RED_MARROW, (4, 12), 0.25),
    LesionKind.BONE_ISLAND: _spot(Tissue.SCLEROSIS, (2, 5), 0.2),
    LesionKind.MODIC_1: _modic(Tissue.EDEMA),
    LesionKind.MODIC_2: _modic(Tissue.FATTY_MARROW),
    LesionKind.MODIC_3: _modic(Tissue.SCLEROSIS),
    LesionKind.SCHMORL: _schmorl,
    LesionKind.OSTEOPOROTIC_FRACTURE: _fracture(Tissue.EDEMA),
}
