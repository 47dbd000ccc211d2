"""The analyses of a hospital's studies: those at hand are taken, missing ones are made and kept.

So a long run that was cut off goes on where it stopped, and an evaluation with another threshold takes seconds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spondyl.app.analyze import AnalysisOptions, analyze_study, load_networks
from spondyl.app.console import write_defect_log
from spondyl.core import InputError, ModelError, OutputError, SpondylError
from spondyl.evaluation.site_cases import FoundLesion, FoundStudy, FoundVertebra
from spondyl.io.result import read_result
from spondyl.io.store import RESULT_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from spondyl.pipeline.run import Progress
    from spondyl.pipeline.settings import Settings

STUDY_SUFFIXES = (".nii.gz", ".nii", ".zip")
"""Files that are studies; their names without these pair them with the truth."""

REFUSED = "refused.txt"
"""Says, in the place of an analysis, why a study could not be analyzed; delete it to try again."""


@dataclass(frozen=True)
class SiteAnalysis:
    """A study and what was said of it.

    Parameters
    ----------
    study : Path
        The images; the analysis itself where they are not at hand.
    folder : Path
        The analysis.
    document : mapping or None
        Its ``result.json``; None where the study could not be analyzed.
    reason : str
        Why not.
    """

    study: Path
    folder: Path
    document: Mapping[str, Any] | None
    reason: str = ""

    @property
    def found(self) -> FoundStudy:
        """What the analysis said."""
        return found_study(self.document)


def list_studies(folder: Path) -> dict[str, Path]:
    """List the studies of a folder.

    Parameters
    ----------
    folder : Path
        One folder, zip or NIfTI file a study.

    Returns
    -------
    dict of str to Path
        By the name that pairs them with the truth, in order of name.

    Raises
    ------
    InputError
        If there is no folder, nothing in it, or two studies of one name.
    """
    if not folder.is_dir():
        msg = "expected a folder that holds one folder, zip or NIfTI file a study, but there is none; check the path"
        raise InputError(msg)
    paths = [p for p in sorted(folder.iterdir()) if not p.name.startswith(".") and (p.is_dir() or _suffix(p))]
    if not paths:
        msg = "expected one folder, zip or NIfTI file a study in the folder of studies, got none; check the path"
        raise InputError(msg)
    names = [p.name.removesuffix(_suffix(p)) if p.is_file() else p.name for p in paths]
    twice = [n for n, count in Counter(names).items() if count > 1]
    if twice:
        msg = f"{len(twice)} names in the folder of studies stand for two studies each; rename one of each"
        raise InputError(msg)
    return dict(zip(names, paths, strict=True))


def _suffix(path: Path) -> str:
    return next((s for s in STUDY_SUFFIXES if path.name.lower().endswith(s)), "")


def analyze_site(
    studies: Mapping[str, Path], analyses: Path, settings: Settings, progress: Progress | None = None
) -> dict[str, SiteAnalysis]:
    """Take or make the analysis of every study.

    Parameters
    ----------
    studies : mapping of str to Path
        As listed; a study that is an analysis itself is taken as it is.
    analyses : Path
        Where analyses are, one folder a study; made if one is missing.
    settings : Settings
        How to analyze.
    progress : callable, optional
        Told before each study that is analyzed.

    Returns
    -------
    dict of str to SiteAnalysis
        In the same order. A study that cannot be used is one without a document, and no error.

    Raises
    ------
    OutputError
        If an analysis cannot be written.
    ModelError
        If the weights are missing or damaged.
    """
    networks = None
    done: dict[str, SiteAnalysis] = {}
    for number, (name, path) in enumerate(studies.items(), 1):
        folder = path if (path / RESULT_MARK).is_file() else analyses / name
        refused = folder / REFUSED
        if (folder / RESULT_MARK).is_file():
            done[name] = SiteAnalysis(path, folder, read_result(folder))
        elif refused.is_file():
            done[name] = SiteAnalysis(path, folder, None, refused.read_text(encoding="utf-8").strip())
        else:
            if progress is not None:
                progress(f"analyzing study {number}", number, len(studies))
            networks = networks or load_networks(settings)
            try:
                made = analyze_study(path, folder, options=AnalysisOptions(settings=settings), networks=networks)
                done[name] = SiteAnalysis(path, folder, made.document)
            except (OutputError, ModelError):
                raise  # no other study would fare better
            except Exception as error:  # noqa: BLE001 - one study must not cost the night's work on the others
                done[name] = SiteAnalysis(path, folder, None, _refuse(refused, error))
    return done


def _refuse(file: Path, error: Exception) -> str:
    """Keep the reason why a study could not be analyzed; the text of a defect might quote a header."""
    known = isinstance(error, SpondylError)
    reason = str(error) if known else f"a defect ({type(error).__name__}), see {write_defect_log(error)}"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{reason}\n", encoding="utf-8")
    except OSError as failure:
        msg = f"the analyses cannot be written ({failure.strerror}); choose another folder with --analyses"
        raise OutputError(msg) from failure
    return reason


def found_study(document: Mapping[str, Any] | None) -> FoundStudy:
    """Give what a result says, as the evaluation needs it.

    Parameters
    ----------
    document : mapping or None
        A ``result.json``; None for a study that could not be analyzed.

    Returns
    -------
    FoundStudy
        The answer.
    """
    if document is None:
        return FoundStudy(failed=True)
    vertebrae = tuple(
        FoundVertebra(
            v["instance"],
            v["level"],
            tuple(v["centroid_lps_mm"]),
            v.get("probabilities", {}).get("malignant"),
            tuple(v.get("prediction_set", ())),
        )
        for v in document["vertebrae"]
    )
    lesions = tuple(
        FoundLesion(x["level"], x["vertebra_instance"], x["probabilities"]["malignant"], x["confidence"])
        for x in document["lesions"]
    )
    flags = tuple(dict.fromkeys(f["code"] for f in document["quality"]))
    return FoundStudy(vertebrae, lesions, flags, scanner_groups(document["sequences"]))


def scanner_groups(sequences: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Give what tells scanners and protocols apart.

    Parameters
    ----------
    sequences : iterable of mapping
        ``sequences`` of a result.

    Returns
    -------
    dict of str to str
        Vendor, model, field strength and sequences, as far as they are known.
    """
    primary = [s for s in sequences if s["role"] == "primary"]
    taken = [s["acquisition"] for s in primary]
    field = next((a["field_strength_t"] for a in taken if a.get("field_strength_t")), None)
    groups = {name: next((a[name] for a in taken if a.get(name)), "") for name in ("vendor", "model")}
    groups["field strength"] = f"{field:.1f} T" if field else ""
    groups["sequences"] = " ".join(sorted({s["sequence"] for s in primary}))
    return {name: value for name, value in groups.items() if value}
