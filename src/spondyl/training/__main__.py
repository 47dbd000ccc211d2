"""Run parts of training from a source tree: ``python -m spondyl.training PART --help``."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m spondyl.training", description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    make = parts.add_parser("anatomies", help="make synthetic anatomies")
    make.add_argument("folder", type=Path)
    make.add_argument("--first", type=int, default=0)
    make.add_argument("--count", type=int, default=700)
    names = parts.add_parser("levels", help="learn what each level looks like")
    names.add_argument("folder", type=Path, help="where measurements are kept")
    names.add_argument("--out", type=Path, required=True, help="JSON file to write")
    names.add_argument("--count", type=int, default=500)
    classes = parts.add_parser("classifiers", help="train, calibrate and write the networks that tell classes")
    classes.add_argument("patients", type=Path, help="folder of synthetic patients; missing ones are made")
    classes.add_argument("--runs", type=Path, required=True, help="folder of the training runs, which go on")
    classes.add_argument("--out", type=Path, required=True)
    classes.add_argument("--count", type=int, default=400)
    classes.add_argument("--steps", type=int, default=900)
    loop = (("steps", int), ("batch-size", int), ("workers", int), ("seed", int), ("learning-rate", float))
    for part, what, options in (
        ("segmentation", "outlines the spine", (*loop, ("physical-share", float))),
        ("lesions", "outlines lesions", loop),
    ):
        run = parts.add_parser(part, help=f"train, or go on training, the network that {what}")
        run.add_argument("anatomies", type=Path)
        run.add_argument("--out", type=Path, required=True)
        for name, kind in options:
            run.add_argument(f"--{name}", type=kind)
    export = parts.add_parser("export", help="write a trained network as ONNX with its card")
    export.add_argument("run", type=Path, help="folder of the training run")
    export.add_argument("--anatomies", type=Path, required=True)
    export.add_argument("--out", type=Path, required=True)
    export.add_argument("--of", choices=("spine", "lesions"), default="spine", help="what the network outlines")
    export.add_argument("--name", default="spine")
    export.add_argument("--version", default="1")
    return parser


def main() -> None:
    """Read the command line and run."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if arguments.part == "anatomies":
        from spondyl.training.anatomies import make_anatomies

        make_anatomies(arguments.folder, range(arguments.first, arguments.first + arguments.count))
        return
    if arguments.part == "levels":
        from spondyl.training.levels import train_levels

        train_levels(arguments.folder, arguments.out, count=arguments.count)
        return
    if arguments.part == "classifiers":
        from spondyl.training.classifier_export import make_classifiers

        folders = (arguments.patients, arguments.runs, arguments.out)
        make_classifiers(*folders, count=arguments.count, steps=arguments.steps)
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
    chosen = {k: v for k, v in vars(arguments).items() if k not in ("part", "anatomies", "out") and v is not None}
    if arguments.part == "lesions":
        from spondyl.training.lesion_segmentation import train_lesions
        from spondyl.training.loop import LoopSettings

        train_lesions(arguments.anatomies, arguments.out, LoopSettings(**chosen))
        return
    from spondyl.training.segmentation import TrainingSettings, train

    train(arguments.anatomies, arguments.out, TrainingSettings(**chosen))


if __name__ == "__main__":
    main()
