"""Lesion candidates: where they are, what they may be, and how large."""

from spondyl.lesions.step import LesionSettings, find_lesions

__all__ = ["LesionSettings", "find_lesions"]
