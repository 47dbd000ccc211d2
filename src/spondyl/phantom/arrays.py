"""The arrays of the phantom are those of the signal equations: numpy or torch."""

from spondyl.physics.arrays import Array, constant, namespace

__all__ = ["Array", "constant", "namespace"]
