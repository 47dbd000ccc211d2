"""What `socce.py` compares with, run by an environment that has mofapy2 (LGPL-3, so no part of Spondyl) and umap-learn.

    python -m venv peers && peers/bin/pip install mofapy2 umap-learn
    python benchmarks/socce.py --peers peers/bin/python

Reads an archive of standardized tables, rows of NaN where a table is missing; writes factors and the UMAP picture.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import numpy as np


def factors(tables: dict[str, np.ndarray], seed: int) -> np.ndarray:
    """Give the factors of MOFA+ (Argelaguet 2020, Genome Biol 21:111) with its own default number of factors."""
    from mofapy2.run.entry_point import entry_point

    with contextlib.redirect_stdout(io.StringIO()):
        ent = entry_point()
        ent.set_data_options(scale_views=True)
        ent.set_data_matrix([[t] for t in tables.values()], likelihoods=["gaussian"] * len(tables))
        ent.set_model_options(factors=10)
        ent.set_train_options(iter=400, convergence_mode="fast", seed=seed, quiet=True)
        ent.build()
        ent.run()
        return np.concatenate(ent.model.nodes["Z"].getExpectations()["E"][None], axis=0)


def picture(joined: np.ndarray, seed: int) -> np.ndarray:
    """Give UMAP's two coordinates with its defaults."""
    import umap

    return umap.UMAP(random_state=seed, n_jobs=1).fit_transform(joined)


def main(source: str, target: str) -> None:
    """Read, compute, write."""
    with np.load(source) as given:
        seed = int(given["seed"])
        tables = {name: given[name] for name in given.files if name not in ("seed", "joined")}
        joined = given["joined"]
    np.savez(Path(target), umap=picture(joined, seed), mofa=factors(tables, seed))


if __name__ == "__main__":
    main(*sys.argv[1:])
