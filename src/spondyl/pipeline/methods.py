"""The methods paragraph of a result, built from what was really done.

A paragraph written by hand drifts from the code; this one is the history in sentences (the idea of fMRIPrep's
boilerplate, doi 10.1038/s41592-018-0235-4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spondyl import __version__

if TYPE_CHECKING:
    from spondyl.core import Case

SHORT_HASH = 12
"""Hexadecimal digits of a weight hash that the text shows; the whole hash stands in the result file."""


def methods_paragraph(case: Case) -> str:
    """Tell in sentences how a case was analyzed.

    Parameters
    ----------
    case : Case
        The analyzed case.

    Returns
    -------
    str
        One paragraph for a methods section.
    """
    used = ", ".join(str(sequence) for sequence in case.images) or "no images"
    sentences = [f"Images ({used}) were analyzed with Spondyl {__version__}."]
    if case.reference is not None:
        sentences.append(f"All results lie on the voxel grid of the {case.reference} series.")
    for record in case.history:
        text = " ".join(record.methods.split())
        if text:
            sentences.append(text if text.endswith(".") else text + ".")
        if record.version != __version__:
            sentences.append(f"(Step {record.name}, version {record.version}.)")
    models = {name: sha for record in case.history for name, sha in record.models.items()}
    if models:
        named = "; ".join(f"{name} (SHA-256 {sha[:SHORT_HASH]}…)" for name, sha in models.items())
        sentences.append(f"Network weights: {named}.")
    sentences.append("The software is for research use only.")
    return " ".join(sentences)
