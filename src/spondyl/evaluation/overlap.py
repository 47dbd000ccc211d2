"""How many voxels each pair of labels of two maps shares, counted in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import GeometryError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Overlap:
    """How many voxels each pair of labels shares.

    Parameters
    ----------
    truth_map, prediction_map : ndarray of int
        The maps, as counted.
    truth_labels, prediction_labels : ndarray of int
        Labels of the rows and columns; the first is 0.
    shared : ndarray of int, shape (n_truth_labels, n_prediction_labels)
        Voxels with that pair of labels.
    """

    truth_map: NDArray
    prediction_map: NDArray
    truth_labels: NDArray[np.int_]
    prediction_labels: NDArray[np.int_]
    shared: NDArray[np.int_]

    @classmethod
    def of(cls, truth: NDArray, prediction: NDArray) -> Overlap:
        """Count in one pass over the maps.

        Parameters
        ----------
        truth, prediction : ndarray of int
            Label maps on one grid.

        Returns
        -------
        Overlap
            The counts.

        Raises
        ------
        GeometryError
            If the shapes differ.
        InputError
            If a map does not hold whole numbers from 0 to 65535.
        """
        if truth.shape != prediction.shape:
            msg = (
                f"truth and prediction must lie on one grid, got shapes {truth.shape} and {prediction.shape}: resample"
            )
            raise GeometryError(msg)
        maps = _label_array(truth, "truth"), _label_array(prediction, "prediction")
        (rows, row_of), (columns, column_of) = (_numbered(m) for m in maps)
        pairs = row_of[maps[0]] * len(columns) + column_of[maps[1]]
        shared = np.bincount(pairs.ravel(), minlength=len(rows) * len(columns)).reshape(len(rows), len(columns))
        return cls(*maps, rows, columns, shared)

    def present(self) -> set[int]:
        """Give the labels that are in either map.

        Returns
        -------
        set of int
            Without 0.
        """
        return {int(n) for n in np.union1d(self.truth_labels, self.prediction_labels)} - {0}

    def sizes(self, label: int) -> tuple[int, int, int]:
        """Give the voxels of one label.

        Parameters
        ----------
        label : int
            The label.

        Returns
        -------
        truth, prediction, shared : int
            Voxels in each map and in both.
        """
        row, column = self.truth_labels == label, self.prediction_labels == label
        return int(self.shared[row].sum()), int(self.shared[:, column].sum()), int(self.shared[row][:, column].sum())


def _label_array(array: NDArray, name: str) -> NDArray[np.uint16]:
    if array.dtype.kind not in "bui" and not (np.isfinite(array).all() and (array == np.rint(array)).all()):
        msg = f"{name} must hold whole numbers, one label per voxel: threshold probabilities first"
        raise InputError(msg)
    if array.size and (array.min() < 0 or array.max() > np.iinfo(np.uint16).max):
        msg = f"labels of {name} must lie from 0 to 65535, got {array.min()} to {array.max()}"
        raise InputError(msg)
    return array.astype(np.uint16)


def _numbered(array: NDArray[np.uint16]) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Labels present, 0 always among them, and the place of each label in that list."""
    found = np.bincount(array.ravel(), minlength=1) > 0
    found[0] = True
    return np.flatnonzero(found), np.cumsum(found) - 1
