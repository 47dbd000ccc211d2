"""One space and one scale: for the images of a study, and for the features of many scanners.

What works on tables is imported by path, so that the analysis of a study need not load scikit-learn and pandas:
``from spondyl.harmonize.harmony_spine import HarmonySpine``.
"""

from spondyl.harmonize.step import HarmonizeSettings, harmonize

__all__ = ["HarmonizeSettings", "harmonize"]
