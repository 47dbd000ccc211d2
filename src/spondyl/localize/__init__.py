"""Vertebrae, discs, canal and cord: where they are and what they are called."""

from spondyl.localize.step import LocalizeSettings, localize

__all__ = ["LocalizeSettings", "localize"]
