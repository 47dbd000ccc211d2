"""Measure SOCCE against known subtypes of synthetic patients, beside the usual recipes. No clinical performance.

    python benchmarks/socce.py [--seeds 5] [--patients 600] [--pattern random] [--peers PYTHON] [--permutations 20]
    python benchmarks/socce.py --networks --patients 2000 --bend 0.6

Every cohort has genes, scanners and stains of its own, 4 subtypes, 6 scanners to which subtypes are sent unevenly, and
30 % of the omics tables missing (`spondyl.phantom.biology`). Compared are: standardize, UMAP, k-means (the literal
recipe); PCA and k-means; MOFA+ and k-means. These are told the true number of subtypes, SOCCE is not. `--peers` names a
Python that has mofapy2 and umap-learn, see `socce_peers.py`. `--networks` compares encoders trained by contrast with
the closed form and does nothing else; with `--bend` image features follow programs in curves.

Probes are retrained on the embedding. Since subtypes are sent to scanners unevenly, the subtype alone tells something
of the scanner; so chance is measured twice: on all patients, with scanners exchanged between patients of one subtype;
and on patients drawn so that scanner and subtype are independent, with scanners exchanged at will.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import adjusted_rand_score, r2_score, roc_auc_score
from sklearn.model_selection import cross_val_predict

from spondyl import __version__
from spondyl.harmonize.probes import probe, probe_task
from spondyl.phantom.biology import CONFOUNDERS, BiologySettings, simulate_omics_cohort
from spondyl.phantom.cohort import SEED_RANGES, Purpose
from spondyl.socce.encoder import SOCCE
from spondyl.socce.graph import ConfounderGraph
from spondyl.socce.stability import token_stability

N_SUBTYPES = 4
KINDS = ("linear", "forest", "boosted")
PROBED = ("coil", "vendor", "site")


def standardized(cohort) -> dict[str, np.ndarray]:
    """Give every table in standard deviations, rows of NaN where it is missing."""
    tables = {}
    for name, table in cohort.modalities.items():
        full = table.reindex(cohort.patients.index)
        spread = full.std().replace(0, 1)
        tables[name] = ((full - full.mean()) / spread).to_numpy(float)
    return tables


def joined(tables: dict[str, np.ndarray]) -> np.ndarray:
    """Put the tables side by side; missing values become the mean."""
    return np.nan_to_num(np.hstack(list(tables.values())))


def clustered(x: np.ndarray, seed: int) -> np.ndarray:
    """Cluster by k-means, told the true number."""
    return KMeans(N_SUBTYPES, n_init=20, random_state=seed).fit_predict(x)


def peers(python: str, tables: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Run what lives in another environment."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(source, seed=seed, joined=joined(tables), **tables)
        subprocess.run([python, Path(__file__).with_name("socce_peers.py"), source, target], check=True)
        with np.load(target) as found:
            return {name: found[name] for name in found.files}


def subtype_auc(x: np.ndarray, subtype: np.ndarray) -> float:
    """Area under the curve of a linear probe of the subtype, one against the rest, cross-validated."""
    p = cross_val_predict(LogisticRegression(max_iter=2000), x, subtype, cv=5, method="predict_proba")
    return float(roc_auc_score(subtype, p, multi_class="ovr"))


def balanced_rows(scanner: np.ndarray, subtype: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw patients so that scanner and subtype are independent: equally many of each pair."""
    pairs = pd.Series(np.arange(len(scanner))).groupby([scanner, subtype])
    fewest = int(pairs.size().min())
    return np.sort(np.concatenate([rng.choice(rows, fewest, replace=False) for rows in pairs.groups.values()]))


def probes(x: np.ndarray, cohort, n_permutations: int, seed: int) -> list[dict]:
    """Probe the embedding for where patients were scanned."""
    subtype = cohort.truth["subtype"].to_numpy()
    rng = np.random.default_rng(seed)
    found = []
    for column in PROBED:
        labels = cohort.patients[column].to_numpy()
        rows = balanced_rows(labels, subtype, rng)
        for kind in KINDS:
            inside = probe(x, probe_task(labels), kind, n_permutations=n_permutations, seed=seed, within=subtype)
            even = probe(x[rows], probe_task(labels[rows]), kind, n_permutations=n_permutations, seed=seed)
            found.append({"seed": seed, "column": column, "kind": kind, "given_subtype": inside, "balanced": even})
    return found


def retrieval_rank(queries: np.ndarray, gallery: np.ndarray) -> float:
    """Median rank of each patient's own omics among all, by cosine."""
    a = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-12)
    b = gallery / np.maximum(np.linalg.norm(gallery, axis=1, keepdims=True), 1e-12)
    similarity = a @ b.T
    own = np.diag(similarity)[:, None]
    return float(np.median((similarity > own).sum(axis=1) + 1))


def match_rank(image, omics) -> float:
    """Median rank of each patient's own omics by how probable it is that both describe one patient."""
    difference = image.mean[:, None, :] - omics.mean[None]
    spread = np.eye(image.mean.shape[1]) * 1e-6 + image.covariance[:, None] + omics.covariance[None]
    distance = (difference * np.linalg.solve(spread, difference[..., None])[..., 0]).sum(axis=-1)
    score = -(distance + np.linalg.slogdet(spread)[1]) / 2
    return float(np.median((score > np.diag(score)[:, None]).sum(axis=1) + 1))


def unaligned_rank(tables: dict[str, np.ndarray], rows: np.ndarray, d: int) -> float:
    """Median rank where image and omics are turned to as many principal components, each by itself."""
    image = np.nan_to_num(tables["imaging"])
    omics = np.nan_to_num(np.hstack([t for name, t in tables.items() if name != "imaging"]))
    a, b = (PCA(d, random_state=0).fit_transform(x)[rows] for x in (image, omics))
    return retrieval_rank(a, b)


def told_by_imaging(model: SOCCE, cohort) -> tuple[float, float]:
    """Give what imaging alone tells: tokens against subtypes, and the share of the programs' variance."""
    image = model.embed({"imaging": cohort.modalities["imaging"]}, cohort.patients)
    programs = cohort.truth.drop(columns="subtype").to_numpy()
    line = LinearRegression().fit(image.mean, programs)
    share = r2_score(programs, line.predict(image.mean), multioutput="variance_weighted")
    return adjusted_rand_score(cohort.truth["subtype"], image.assignment.nearest), float(share)


def measure_networks(seed: int, args: argparse.Namespace) -> dict[str, float]:
    """Compare networks trained by contrast with the closed form on one cohort."""
    from spondyl.training.infonce import InfoNCE

    number = SEED_RANGES[Purpose.BENCHMARK][seed]
    settings = BiologySettings(missing_pattern=args.pattern, world=number, bend=args.bend)
    cohort = simulate_omics_cohort(args.patients, number, settings)
    row = {}
    for name, encoder in (("closed form", None), ("networks", InfoNCE())):
        started = time.process_time()
        model = SOCCE(ConfounderGraph.usual(CONFOUNDERS), encoder=encoder).fit(cohort.modalities, cohort.patients)
        row[f"fit, {name}, CPU s"] = time.process_time() - started
        found = model.embed(cohort.modalities, cohort.patients)
        row[f"ARI, {name}"] = adjusted_rand_score(cohort.truth["subtype"], found.assignment.nearest)
        row[f"ARI by imaging alone, {name}"], row[f"R2 of programs by imaging, {name}"] = told_by_imaging(model, cohort)
    return row


def measure(seed: int, args: argparse.Namespace) -> tuple[dict, list[dict]]:
    """Measure one cohort."""
    number = SEED_RANGES[Purpose.BENCHMARK][seed]
    settings = BiologySettings(missing_pattern=args.pattern, world=number, bend=args.bend)
    cohort = simulate_omics_cohort(args.patients, number, settings)
    even = BiologySettings(confounding=0.0, missing_pattern=args.pattern, world=number, bend=args.bend)
    apart = simulate_omics_cohort(args.patients, number, even)
    subtype, graph = cohort.truth["subtype"].to_numpy(), ConfounderGraph.usual(CONFOUNDERS)
    tables = standardized(cohort)
    started = time.process_time()
    model = SOCCE(graph).fit(cohort.modalities, cohort.patients)
    fitted = time.process_time()
    full = model.embed(cohort.modalities, cohort.patients)
    embedded = time.process_time()
    image = model.embed({"imaging": cohort.modalities["imaging"]}, cohort.patients)
    omics = model.embed({k: v for k, v in cohort.modalities.items() if k != "imaging"}, cohort.patients)
    raw = SOCCE(graph, align=False, erase=False).fit(cohort.modalities, cohort.patients)
    told = pd.crosstab(full.assignment.nearest, subtype).idxmax(axis=1)
    right = told.loc[full.assignment.nearest].to_numpy() == subtype
    alone = told.reindex(image.assignment.nearest).to_numpy() == subtype
    both = np.array([len(there) > 0 for there in omics.modalities])
    rank = match_rank_of(image, omics, both)
    pca_rank = unaligned_rank(tables, both, model.dimension_)
    elsewhere = SOCCE(graph).fit(apart.modalities, apart.patients)
    row = {
        "ARI, SOCCE": adjusted_rand_score(subtype, full.assignment.nearest),
        "ARI, SOCCE, reject a token": adjusted_rand_score(subtype, full.token_names()),
        "ARI, SOCCE without alignment, erasure": adjusted_rand_score(
            subtype, raw.embed(cohort.modalities, cohort.patients).assignment.nearest
        ),
        "ARI, PCA + k-means": adjusted_rand_score(
            subtype, clustered(PCA(10, random_state=seed).fit_transform(joined(tables)), seed)
        ),
        "tokens": len(model.codebook_.weights),
        "rejected": full.assignment.rejected.mean(),
        "imaging alone right, of those right": alone[right].mean(),
        "retrieval, median rank": rank,
        "retrieval, unaligned PCA": pca_rank,
        "retrieval, times better": pca_rank / rank,
        "subtype AUC": subtype_auc(full.mean, subtype),
        "subtype AUC, unconfounded": subtype_auc(
            elsewhere.embed(apart.modalities, apart.patients).mean, apart.truth["subtype"].to_numpy()
        ),
        "fit, CPU s": fitted - started,
        "embed one, CPU ms": 1000 * (embedded - fitted) / len(subtype),
    }
    if args.resamples:
        row["bootstrap stability"] = token_stability(
            model, cohort.modalities, cohort.patients, n_resamples=args.resamples, seed=seed
        ).mean_ari
    if args.peers:
        other = peers(args.peers, tables, seed)
        row["ARI, standardize + UMAP + k-means"] = adjusted_rand_score(subtype, clustered(other["umap"], seed))
        row["ARI, MOFA+ + k-means"] = adjusted_rand_score(subtype, clustered(other["mofa"], seed))
    return row, probes(full.mean, cohort, args.permutations, seed) if args.permutations else []


def match_rank_of(image, omics, rows: np.ndarray) -> float:
    """Rank among the patients who have omics."""

    class Part:
        def __init__(self, e) -> None:
            self.mean, self.covariance = e.mean[rows], e.covariance[rows]

    return match_rank(Part(image), Part(omics))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--patients", type=int, default=600)
    parser.add_argument("--pattern", default="random", help="how omics are missing: random, patient, site, ...")
    parser.add_argument("--permutations", type=int, default=20)
    parser.add_argument("--resamples", type=int, default=20)
    parser.add_argument("--bend", type=float, default=0.0)
    parser.add_argument("--networks", action="store_true")
    parser.add_argument("--peers", default="")
    args = parser.parse_args()
    print(f"Spondyl {__version__}; {args.seeds} synthetic cohorts of {args.patients}, omics missing: {args.pattern}")
    rows, found = [], []
    for seed in range(args.seeds):
        row, own = (measure_networks(seed, args), []) if args.networks else measure(seed, args)
        rows.append(row)
        found += own
        print(f"cohort {seed}: ARI {row['ARI, closed form' if args.networks else 'ARI, SOCCE']:.3f}", flush=True)
    table = pd.DataFrame(rows)
    print(f"\n{'':42s}{'mean':>9s}{'SD':>8s}{'min':>9s}{'max':>9s}")
    for name, column in table.items():
        print(f"{name:42s}{column.mean():9.3f}{column.std():8.3f}{column.min():9.3f}{column.max():9.3f}")
    for when in ("given_subtype", "balanced") if found else ():
        print(f"\nprobes, {when.replace('_', ' ')}: balanced accuracy and band of chance, mean over cohorts")
        for column in PROBED:
            for kind in KINDS:
                scores = [f[when] for f in found if f["column"] == column and f["kind"] == kind]
                value, low, high = (
                    np.mean([getattr(s, k) for s in scores]) for k in ("balanced_accuracy", "low", "high")
                )
                outside = sum(s.above_chance for s in scores)
                print(
                    f"{column:8s}{kind:9s}{value:7.3f}  {low:.3f} to {high:.3f}   above the band in {outside} of "
                    f"{len(scores)}; p {', '.join(f'{s.p_value:.2f}' for s in scores)}"
                )


if __name__ == "__main__":
    main()
