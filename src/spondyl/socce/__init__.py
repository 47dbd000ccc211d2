"""SOCCE, the Spine-Omics Causal Contrastive Encoder: patients placed by what image, genes and pathology agree on.

"Causal" goes as far as adjustment for declared confounders does, and no further. The estimator is imported by path:
``from spondyl.socce.encoder import SOCCE``.
"""
