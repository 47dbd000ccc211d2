"""Run parts of training from a source tree: ``python -m spondyl.training PART --help``."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from spondyl.core import SpondylError

_RECIPE: tuple[tuple[str, type], ...] = (
    ("anatomies", int),
    ("patients", int),
    ("seconds", float),
    ("echo", int),
    ("class_steps", int),
    ("class_sites", int),
    ("class_seconds", float),
    ("folds", int),
    ("processes", int),
    ("at_once", int),
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m spondyl.training", description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    for part, what, first in (("anatomies", "anatomies", 0), ("patients", "patients for classifiers", 400_000)):
        make = parts.add_parser(part, help=f"make synthetic {what}")
        make.add_argument("folder", type=Path)
        make.add_argument("--first", type=int, default=first)
        make.add_argument("--count", type=int, default=700)
        make.add_argument("--processes", type=int, default=1)
    everything = parts.add_parser("all", help="make patients and train every network, or go on with it")
    everything.add_argument("work", type=Path)
    everything.add_argument("--from", dest="start", type=Path, help="folder of cards to start from")
    for name, kind in _RECIPE:
        everything.add_argument(f"--{name.replace('_', '-')}", type=kind)
    names = parts.add_parser("levels", help="learn what each level looks like")
    names.add_argument("folder", type=Path, help="where measurements are kept")
    names.add_argument("--out", type=Path, required=True, help="JSON file to write")
    names.add_argument("--count", type=int, default=580, help="patients whose levels are learnt")
    names.add_argument("--rib-count", type=int, default=400, help="patients whose ribs are learnt")
    classes = parts.add_parser("classifiers", help="train, calibrate and write the networks that tell classes")
    classes.add_argument("patients", type=Path, help="folder of synthetic patients; missing ones are made")
    classes.add_argument("--runs", type=Path, required=True, help="folder of the training runs, which go on")
    classes.add_argument("--out", type=Path, required=True)
    classes.add_argument("--count", type=int, default=400)
    classes.add_argument("--steps", type=int, default=900)
    loop: tuple[tuple[str, type], ...] = (("steps", int), ("batch-size", int), ("workers", int), ("seed", int))
    loop = (*loop, ("learning-rate", float), ("seconds", float), ("echo", int))
    for part, what, options in (
        ("segmentation", "outlines the spine", (*loop, ("balanced-steps", int), ("physical-share", float))),
        ("lesions", "outlines lesions", (*loop, ("balanced-steps", int))),
    ):
        run = parts.add_parser(part, help=f"train, or go on training, the network that {what}")
        run.add_argument("anatomies", type=Path)
        run.add_argument("--out", type=Path, required=True)
        run.add_argument("--from", dest="start", type=Path, help="weights to start from, such as a card")
        for name, kind in options:
            run.add_argument(f"--{name}", type=kind)
    one = parts.add_parser("classifier", help="train, or go on training, one network that tells classes")
    one.add_argument("patients", type=Path)
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--network")
    for name, kind in (*loop, ("fold", int), ("sites", int)):
        one.add_argument(f"--{name}", type=kind)
    scaling = parts.add_parser("calibrate", help="fit the probabilities of vertebrae to analyzed patients")
    rows = "written by benchmarks/synthetic_patients.py --purpose validation --lesions prevalence"
    scaling.add_argument("rows", type=Path, help=rows)
    scaling.add_argument("--card", type=Path, required=True, help="card of the context transformer, which is replaced")
    export = parts.add_parser("export", help="write a trained network as ONNX with its card")
    export.add_argument("run", type=Path, help="folder of the training run")
    export.add_argument("--anatomies", type=Path, required=True)
    export.add_argument("--out", type=Path, required=True)
    export.add_argument("--of", choices=("spine", "lesions"), default="spine", help="what the network outlines")
    export.add_argument("--name", default="spine")
    export.add_argument("--version", default="1")
    return parser


def main() -> None:
    """Read the command line and run; what is wrong with the input ends it in words."""
    parser = _parser()
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        _run(arguments)
    except SpondylError as error:
        parser.error(str(error))


def _run(arguments: argparse.Namespace) -> None:
    """Run the part that was asked for."""
    if arguments.part in ("anatomies", "patients"):
        _make(arguments)
        return
    if arguments.part == "all":
        from spondyl.training.recipe import Recipe, make_all

        chosen = {name: v for name, _ in _RECIPE if (v := getattr(arguments, name)) is not None}
        make_all(arguments.work, Recipe(**chosen), start=arguments.start)
        return
    if arguments.part in ("levels", "classifiers", "calibrate"):
        _fit(arguments)
        return
    if arguments.part == "export" and arguments.of == "lesions":
        from spondyl.training.lesion_export import write_lesion_model

        write_lesion_model(arguments.run / "checkpoint.pt", arguments.out, anatomies=arguments.anatomies)
        return
    if arguments.part == "export":
        from spondyl.training.export import write_model

        write_model(
            arguments.run / "checkpoint.pt",
            arguments.out,
            name=arguments.name,
            version=arguments.version,
            anatomies=arguments.anatomies,
        )
        return
    _train(arguments)


def _make(arguments: argparse.Namespace) -> None:
    """Make anatomies or patients, spread over processes."""
    from spondyl.training.anatomies import in_processes, make_anatomies
    from spondyl.training.vertebrae import make_cohort

    make = make_anatomies if arguments.part == "anatomies" else make_cohort
    seeds = range(arguments.first, arguments.first + arguments.count)
    in_processes(make, arguments.folder, seeds, processes=arguments.processes)


def _fit(arguments: argparse.Namespace) -> None:
    """Learn what comes after the outlines: levels, classes, how sure they are."""
    if arguments.part == "levels":
        from spondyl.training.levels import train_levels

        train_levels(arguments.folder, arguments.out, count=arguments.count, rib_count=arguments.rib_count)
    elif arguments.part == "classifiers":
        from spondyl.training.classifier_export import make_classifiers

        folders = (arguments.patients, arguments.runs, arguments.out)
        make_classifiers(*folders, count=arguments.count, steps=arguments.steps)
    else:
        from spondyl.training.calibrate import calibrate_vertebrae

        for name, value in calibrate_vertebrae(arguments.rows, arguments.card).items():
            logging.info("%s: %.3f", name.replace("_", " "), value)


def _train(arguments: argparse.Namespace) -> None:
    """Train one network."""
    not_settings = ("part", "anatomies", "patients", "out", "start")
    chosen = {k: v for k, v in vars(arguments).items() if k not in not_settings and v is not None}
    if arguments.part == "classifier":
        from spondyl.training.classification import ClassifierSettings, train_classifier
        from spondyl.training.vertebrae import load_cohort

        train_classifier(load_cohort(arguments.patients), arguments.out, ClassifierSettings(**chosen))
        return
    from spondyl.training.networks import LesionUNet, SpineUNet
    from spondyl.training.transfer import load_graph_weights

    network = LesionUNet() if arguments.part == "lesions" else SpineUNet()
    if arguments.start is not None:
        load_graph_weights(network, arguments.start)
    if arguments.part == "lesions":
        from spondyl.training.lesion_segmentation import LesionTrainingSettings, train_lesions

        train_lesions(arguments.anatomies, arguments.out, LesionTrainingSettings(**chosen), network)
        return
    from spondyl.training.segmentation import TrainingSettings, train

    train(arguments.anatomies, arguments.out, TrainingSettings(**chosen), network)


if __name__ == "__main__":
    main()
