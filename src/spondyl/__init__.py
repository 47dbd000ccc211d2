"""Spondyl: spine-oncology MRI from a study to coded findings. Research use only, not for clinical diagnosis."""

__version__ = "0.1.0"

RESEARCH_USE_ONLY = "RESEARCH USE ONLY - NOT FOR CLINICAL DIAGNOSIS"
"""The mark that every output object carries."""

__all__ = ["RESEARCH_USE_ONLY", "__version__"]
