"""Whether what the program shows as the reason of a finding is the reason: pointing, randomized weights, deletion.

    python benchmarks/saliency.py ROWS.jsonl [--patients 20] [--first 50000] [--maps-only]

Each finding that covers a fifth of a true lesion or more is one line of ROWS.jsonl, so that an interrupted run goes on;
the table is of all its lines. Synthetic patients with malignant lesions from the seeds of benchmarks, on scanners that
no training sees. Maps around each finding (its box and 12 mm, other lesions left out) are asked where they are highest,
the pointing game of Zhang 2018 (doi 10.1007/s11263-017-1059-x): the map that results hold, the class map of the network
that found it, from one view; and, without ``--maps-only``, occlusion of that network, the class activation of the
classifiers for the lesion, and for the vertebra around it, where the outline is not given away. Chance is the share of
the region that the lesion takes.

Adebayo 2018 (arXiv 1810.03292) asks that a map change with the weights: they are shuffled layer by layer from the
output down, all of them five times, and the class map is compared with the true one by rank correlation. Petsiuk 2018
(arXiv 1806.07421) asks that what is marked matter: the fifth of the region marked most is made plain, and another of
the same size and texture.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from scipy.stats import spearmanr

from spondyl import __version__
from spondyl.app.analyze import load_networks
from spondyl.core import SAGITTAL, Case, SpondylError, reorient
from spondyl.evaluation.proportions import proportion
from spondyl.io.study import case_of_images
from spondyl.lesions.classify import sites_of
from spondyl.models.classify import classify
from spondyl.models.crops import CROP_SHAPE, crop_places
from spondyl.models.network import OpenVinoNetwork
from spondyl.models.occlusion import MARGIN_MM, occlude, plain_channels
from spondyl.models.space import resample
from spondyl.models.study import study_of
from spondyl.phantom.cohort import cohort_seeds, sample_patient_settings
from spondyl.pipeline.run import run
from spondyl.pipeline.settings import Settings
from spondyl.pipeline.steps import CLASSIFIERS, LESIONS, STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from spondyl.models import Network
    from spondyl.models.study import Study

HIT_SHARE = 0.2
"""A finding is right when it covers this share of a true lesion."""

SHARES = (0.25, 0.5, 0.75, *(1.0,) * 5)
"""Shares of the layers, from the output down, whose weights are shuffled, each time in another way."""

MAJORITY = 0.4
"""Share of a working voxel from which it belongs to a lesion, as in the analysis."""

DELETED = 0.2
"""Share of the region that is made plain."""

MAPS = ("shown", "class map", "occlusion", "activation, lesion", "activation, vertebra")


def shuffled(network: Network, share: float, seed: int, folder: Path) -> Network:
    """A network whose upper layers have their weights shuffled, each among themselves."""
    import onnx
    from onnx import numpy_helper

    card = network.card
    source = resources.files("spondyl.models") / "weights" / f"{card.name}.onnx"
    model = onnx.load_from_string(source.read_bytes())
    used = [name for node in model.graph.node for name in node.input]
    weights = [w for w in model.graph.initializer if len(w.dims) >= 2 and w.name in used]
    weights.sort(key=lambda w: used.index(w.name), reverse=True)
    rng = np.random.default_rng(seed)
    for weight in weights[: max(round(share * len(weights)), 1)]:
        values = numpy_helper.to_array(weight)
        weight.CopyFrom(numpy_helper.from_array(rng.permutation(values.ravel()).reshape(values.shape), weight.name))
    path = folder / f"{card.name}-{share}-{seed}.onnx"
    onnx.save(model, path)
    return OpenVinoNetwork(card, path, threads=1)


def analyzed(seed: int, networks: Mapping[str, Network]) -> tuple[Case, np.ndarray] | None:
    """A patient after lesions were sought, and the true lesions on the same grid; None where no spine was found."""
    draw = sample_patient_settings(seed)
    draw = replace(draw, lesions="malignant", settings=replace(draw.settings, axial_t2=False, fast=True))
    patient = draw.simulate()
    case = case_of_images("case-benchmark", (i for i in patient.images if i.grid.plane == "sagittal"))
    steps = [s for s in STEPS if s.name in ("harmonize", "localize", "lesions", "classify")]
    try:
        case = run(case, Settings(threads=1), networks, steps=steps)
    except SpondylError:
        return None
    return case, patient.labels_on(case.labels["structures"].grid)["lesions"].array


def seeds(n: int, first: int) -> Iterator[int]:
    """Patients of one station with two sequences or more, which take least time."""
    fitting = (
        seed
        for seed in cohort_seeds("benchmark", 50 * n, first=first)
        if (d := sample_patient_settings(seed)).region != "whole" and len(d.sequences) > 1
    )
    yield from (seed for seed, _ in zip(fitting, range(n), strict=False))


def on_working_grid(array: np.ndarray, case: Case, study: Study) -> np.ndarray:
    """Bring a volume of the reference image to the working grid."""
    grid = case.labels["structures"].grid
    turned = reorient(array.astype(np.float32), grid.orientation, SAGITTAL)
    return np.asarray(resample(turned, grid.reoriented(SAGITTAL), study.grid))


def activations(case: Case, study: Study, networks: Mapping[str, Network]) -> tuple[list, np.ndarray]:
    """Sites and class activation of every vertebra and lesion."""
    asked = sites_of(case, study.grid)
    opinions = classify(study, asked.sites, asked.masks, [networks[role] for role in CLASSIFIERS])
    return asked.sites, opinions.activation


def from_crop(site: Any, activation: np.ndarray, study: Study, box: tuple[slice, ...]) -> np.ndarray:
    """Class activation of a crop in a region of the working grid."""
    shape = [s.stop - s.start for s in box]
    index = np.moveaxis(np.indices(shape), 0, -1).reshape(-1, 3) + [s.start for s in box]
    at = crop_places(site, index, study.grid.spacing_mm)
    at = (at + 0.5) * np.asarray(activation.shape) / np.asarray(CROP_SHAPE) - 0.5
    return ndimage.map_coordinates(activation, at.T, order=1, mode="nearest").reshape(shape)


def around(mask: np.ndarray, study: Study) -> tuple[slice, ...]:
    """The box of a finding with the margin in which places are told apart."""
    (own,) = ndimage.find_objects(mask.astype(np.uint8))
    by = np.ceil(MARGIN_MM / np.asarray(study.grid.spacing_mm)).astype(int)
    return tuple(slice(max(s.start - b, 0), min(s.stop + b, n)) for s, b, n in zip(own, by, mask.shape, strict=True))


def points_into(values: np.ndarray, region: np.ndarray, lesion: np.ndarray) -> bool:
    """Whether a map is highest inside the lesion."""
    return bool(lesion[np.unravel_index(int(np.where(region, values, -np.inf).argmax()), values.shape)])


def rows_of(
    seed: int,
    case: Case,
    truth: np.ndarray,
    networks: Mapping[str, Network],
    random: Sequence[Network],
    *,
    maps_only: bool,
) -> Iterator[dict[str, Any]]:
    """Everything that is counted of one patient's findings."""
    network = networks[LESIONS]
    study = study_of(case, network.card)
    if study is None or not case.lesions:
        return
    found = case.labels["lesions"].array
    spine = study.channels[-4:].sum(0) > 0.05
    maps = [1 - n.predict(study.channels, study.facts)[0] for n in (network, *random)]
    result, any_lesion = (
        on_working_grid(case.maps["saliency"].array, case, study),
        on_working_grid(truth > 0, case, study),
    )
    sites, activation = ([], None) if maps_only else activations(case, study, networks)
    instances = [v.instance for v in case.vertebrae]
    for number, lesion in enumerate(case.lesions):
        own = found == lesion.label
        right = [t for t in np.unique(truth[own & (truth > 0)]) if own[truth == t].mean() >= HIT_SHARE]
        if not right:
            continue
        true = on_working_grid(np.isin(truth, right), case, study) > MAJORITY
        mask = on_working_grid(own, case, study) > MAJORITY
        if not mask.any() or not true.any():
            continue
        box = around(mask, study)
        region, inside = ndimage.binary_dilation(spine[box] | mask[box] | true[box]), true[box]
        region &= inside | (any_lesion[box] <= MAJORITY)
        n = len(case.vertebrae)
        shown = {"shown": result[box], "class map": maps[0][box]}
        row: dict[str, Any] = {"seed": seed, "lesion": lesion.label, "chance": float(inside[region].mean())}
        row["shuffled"] = [points_into(m[box], region, inside) for m in maps[1:]]
        row["similar"] = [float(spearmanr(maps[0][box][region], m[box][region]).statistic) for m in maps[1:]]
        if not maps_only:
            seen = occlude(study, network, mask)
            shown["occlusion"] = seen.fall
            shown["activation, lesion"] = from_crop(sites[n + number], activation[n + number], study, box)
            if lesion.vertebra_instance in instances:
                host = instances.index(lesion.vertebra_instance)
                shown["activation, vertebra"] = from_crop(sites[host], activation[host], study, box)
            wild = occlude(study, random[-1], mask)
            row["shuffled occlusion"] = points_into(wild.fall, region, inside)
            row["deletion"] = deletion(study, network, (mask, box, region), shown, seed=seed + lesion.label)
            row["series"] = {str(slot): fall for slot, fall in seen.by_slot.items()}
        row["points"] = {name: points_into(values, region, inside) for name, values in shown.items()}
        yield row


def deletion(study: Study, network: Network, where: tuple, shown: Mapping[str, np.ndarray], *, seed: int) -> dict:
    """By how much the evidence falls where what a map marks most is made plain, and where chance marks it."""
    mask, box, region = where
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=region.shape), (1.0, 3.0, 3.0))
    plain = plain_channels(study)[:, *box]
    wide = tuple(slice(max(s.start - 16, 0), s.stop + 16) for s in box)
    inner = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(box, wide, strict=True))
    meant = mask[wide]

    def evidence(channels: np.ndarray) -> float:
        p = np.clip(1 - network.predict(channels, study.facts)[0][meant], 1e-6, 1 - 1e-6)
        return float(np.log(p / (1 - p)).mean())

    whole = evidence(study.channels[:, *wide])
    falls = {}
    for name, values in {"class map": shown["class map"], "occlusion": shown["occlusion"], "random": noise}.items():
        marked = region & (values >= np.quantile(values[region], 1 - DELETED))
        changed = study.channels[:, *wide].copy()
        changed[:, *inner] = np.where(marked, plain, changed[:, *inner])
        falls[name] = whole - evidence(changed)
    return falls


def share(values: Sequence[bool]) -> str:
    """A share with its interval."""
    e = proportion(sum(values), len(values))
    return f"{e.value:.2f} ({e.low:.2f} to {e.high:.2f}), n {len(values)}"


def summary(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the figures."""
    print(f"{len(rows)} findings of {len({r['seed'] for r in rows})} patients, seeds {min(r['seed'] for r in rows)} on")
    print(f"chance: {np.mean([r['chance'] for r in rows]):.2f}")
    for name in MAPS:
        told = [r["points"][name] for r in rows if name in r["points"]]
        if told:
            print(f"points into the lesion, {name}: {share(told)}")
    for part in sorted(set(SHARES)):
        own = [i for i, p in enumerate(SHARES) if p == part]
        similar = np.mean([[r["similar"][i] for i in own] for r in rows])
        told = share([r["shuffled"][i] for r in rows for i in own])
        print(f"class map, {part:.0%} of the layers shuffled: points in {told}; rank correlation {similar:.2f}")
    each = [f"{np.mean([r['shuffled'][i] for r in rows]):.2f}" for i, p in enumerate(SHARES) if p == 1]
    print(f"each way of shuffling all: {', '.join(each)}")
    whole = [r for r in rows if "deletion" in r]
    if not whole:
        return
    print(f"of {len(whole)} findings")
    print(f"occlusion, all layers shuffled: points into the lesion {share([r['shuffled occlusion'] for r in whole])}")
    for name in ("class map", "occlusion"):
        more = [r["deletion"][name] > r["deletion"]["random"] for r in whole]
        fall, chance = (np.mean([r["deletion"][k] for r in whole]) for k in (name, "random"))
        print(f"made plain by the {name}: evidence falls {fall:.2f}, by chance {chance:.2f}; more in {share(more)}")


def main() -> None:
    """Measure what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--patients", type=int, default=20)
    parser.add_argument("--first", type=int, default=50_000)
    parser.add_argument("--maps-only", action="store_true", help="leave out what asks the network many times")
    arguments = parser.parse_args()
    lines = arguments.rows.read_text().splitlines() if arguments.rows.exists() else []
    done = {json.loads(line)["seed"] for line in lines}
    networks = load_networks(Settings(threads=1))
    print(f"spondyl {__version__}, numpy {np.__version__}, Python {platform.python_version()}, ", end="")
    print(f"{networks[LESIONS].name} {networks[LESIONS].sha256[:8]}")
    with tempfile.TemporaryDirectory() as folder, arguments.rows.open("a", encoding="utf-8") as stream:
        random = [shuffled(networks[LESIONS], part, n, Path(folder)) for n, part in enumerate(SHARES, start=1)]
        for seed in seeds(arguments.patients, arguments.first):
            patient = None if seed in done else analyzed(seed, networks)
            for row in (
                () if patient is None else rows_of(seed, *patient, networks, random, maps_only=arguments.maps_only)
            ):
                stream.write(json.dumps(row) + "\n")
                stream.flush()
    summary([json.loads(line) for line in arguments.rows.read_text().splitlines()])


if __name__ == "__main__":
    main()
