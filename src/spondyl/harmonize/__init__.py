"""One space and one scale for the images of a study."""

from spondyl.harmonize.step import HarmonizeSettings, harmonize

__all__ = ["HarmonizeSettings", "harmonize"]
