"""Boosted trees as plain numbers, so that a fitted model can be written down and read without running anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

DIGITS = 5
"""Significant digits of thresholds and values in a file. Chosen by us."""


@dataclass(frozen=True, eq=False)
class TreeTable:
    """A sum of trees.

    Parameters
    ----------
    base : float
        What is said before the first tree.
    roots : ndarray of int, shape (n_trees,)
        Node that each tree begins with.
    feature : ndarray of int, shape (n_nodes,)
        Column that a node looks at; -1 in a leaf.
    number : ndarray of float, shape (n_nodes,)
        Value up to which one goes left; in a leaf, what it adds.
    missing_left : ndarray of bool, shape (n_nodes,)
        Whether a missing value goes left.
    left, right : ndarray of int, shape (n_nodes,)
        Nodes below.
    """

    base: float
    roots: Ints
    feature: Ints
    number: Floats
    missing_left: NDArray[np.bool_]
    left: Ints
    right: Ints

    @classmethod
    def of(cls, model: Any) -> TreeTable:
        """Take the trees of a fitted histogram booster of scikit-learn.

        Parameters
        ----------
        model : HistGradientBoostingClassifier or HistGradientBoostingRegressor
            Of one output, without categories.

        Returns
        -------
        TreeTable
            Says what the booster's raw prediction says.
        """
        parts = [tree.nodes for (tree,) in model._predictors]
        roots = np.cumsum([0, *(len(nodes) for nodes in parts[:-1])])
        nodes = np.concatenate(parts)
        offset = np.repeat(roots, [len(part) for part in parts])
        leaf = nodes["is_leaf"].astype(bool)
        return cls(
            float(np.ravel(model._baseline_prediction)[0]),
            roots.astype(np.int64),
            np.where(leaf, -1, nodes["feature_idx"]).astype(np.int64),
            np.where(leaf, nodes["value"], nodes["num_threshold"]).astype(np.float64),
            nodes["missing_go_to_left"].astype(bool),
            np.where(leaf, 0, nodes["left"] + offset).astype(np.int64),
            np.where(leaf, 0, nodes["right"] + offset).astype(np.int64),
        )

    def predict(self, x: Floats) -> Floats:
        """Sum what the trees say.

        Parameters
        ----------
        x : ndarray of float, shape (m, p)
            Features; NaN where one is missing.

        Returns
        -------
        ndarray of float, shape (m,)
            Raw prediction.
        """
        rows = np.arange(len(x))
        total = np.full(len(x), self.base)
        for root in self.roots:
            node = np.full(len(x), root)
            while True:
                looked = self.feature[node]
                inner = looked >= 0
                if not inner.any():
                    break
                value = x[rows, np.maximum(looked, 0)]
                goes_left = np.where(np.isnan(value), self.missing_left[node], value <= self.number[node])
                node = np.where(inner, np.where(goes_left, self.left[node], self.right[node]), node)
            total += self.number[node]
        return total

    def to_json(self) -> dict[str, Any]:
        """Give the trees as JSON can hold them.

        Returns
        -------
        dict
            Numbers rounded to a few digits.
        """
        return {
            "base": self.base,
            "roots": self.roots.tolist(),
            "feature": self.feature.tolist(),
            "number": [float(f"{v:.{DIGITS}g}") for v in self.number],
            "missing_left": self.missing_left.astype(int).tolist(),
            "left": self.left.tolist(),
            "right": self.right.tolist(),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any], n_features: int) -> TreeTable:
        """Read trees, and refuse such as would run in circles or look at columns that are not there.

        Parameters
        ----------
        content : dict
            As `to_json` gives it.
        n_features : int
            Columns there are.

        Returns
        -------
        TreeTable
            The trees.

        Raises
        ------
        ModelError
            If they are no trees.
        """
        roots, feature, left, right = (
            np.asarray(content[k], dtype=np.int64) for k in ("roots", "feature", "left", "right")
        )
        number = np.asarray(content["number"], dtype=np.float64)
        missing = np.asarray(content["missing_left"], dtype=bool)
        inner, at = feature >= 0, np.arange(len(feature))
        whole = all(a.shape == feature.shape for a in (left, right, number, missing))
        whole = whole and bool(np.isfinite(number).all())
        if whole:
            below = np.concatenate([left[inner], right[inner]])
            above = np.concatenate([at[inner], at[inner]])
            whole = bool((below > above).all() and (below < len(feature)).all() and (feature < n_features).all())
        if not whole or not ((roots >= 0) & (roots < max(len(feature), 1))).all():
            msg = "trees of a model were wanted, but nodes do not fit together; make the model anew"
            raise ModelError(msg)
        return cls(float(content["base"]), roots, feature, number, missing, left, right)
