"""What the synthetic tumor's subtypes are like: a caricature of bone metastasis, by numbers chosen by us.

Directions follow what is published on how lytic, blastic, fast-growing and vascular metastases look and what drives
them; sizes are chosen so that no single modality tells the subtypes apart without error. None is a measurement.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAMS = ("osteolysis", "bone_formation", "proliferation", "immune", "angiogenesis", "stroma")
"""Processes in a tumor that image and omics share, in standard deviations from the average tumor."""

SUBTYPES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "osteolytic": (1.5, -0.8, 0.1, -0.3, -0.2, 0.6),
        "osteoblastic": (-0.9, 1.6, -0.5, -0.6, -0.6, 0.4),
        "proliferative": (0.2, -0.5, 1.6, -0.5, 0.3, -0.7),
        "inflamed_vascular": (-0.3, -0.3, -0.4, 1.4, 1.2, -0.2),
    }
)
"""Mean of each program in each subtype."""

PRIMARY_SHARES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "breast": (0.26, 0.22, 0.16, 0.14),
        "prostate": (0.06, 0.42, 0.14, 0.08),
        "lung": (0.20, 0.10, 0.30, 0.16),
        "kidney": (0.12, 0.04, 0.08, 0.28),
        "thyroid": (0.10, 0.05, 0.05, 0.10),
        "melanoma": (0.06, 0.03, 0.09, 0.14),
        "colorectal": (0.06, 0.08, 0.12, 0.04),
        "myeloma": (0.14, 0.06, 0.06, 0.06),
    }
)
"""Share of each primary among the patients of each subtype: subtypes lean to primaries, and none belongs to one."""

PROGRAM_SETS = MappingProxyType(
    {
        "osteolysis": ("osteoclast", "bone_metastasis"),
        "bone_formation": ("osteoblast",),
        "proliferation": ("proliferation",),
        "immune": ("immune",),
        "angiogenesis": ("angiogenesis",),
        "stroma": ("tgf_beta_stroma",),
    }
)
"""Gene sets that each program drives."""

TISSUE_GENES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "breast": ("ESR1", "GATA3", "PGR", "SCGB2A2", "TRPS1", "ANKRD30A"),
        "prostate": ("KLK3", "KLK2", "NKX3-1", "AR", "HOXB13", "FOLH1"),
        "lung": ("NKX2-1", "SFTPB", "SFTPC", "NAPSA", "SLC34A2", "SFTA3"),
        "kidney": ("PAX8", "CA9", "NDUFA4L2", "CUBN", "AQP1", "PAX2"),
        "thyroid": ("TG", "TPO", "PAX8", "TSHR", "DIO1", "FOXE1"),
        "melanoma": ("MLANA", "PMEL", "TYR", "MITF", "SOX10", "DCT"),
        "colorectal": ("CDX2", "KRT20", "CDH17", "VIL1", "GPA33", "LGALS4"),
        "myeloma": ("SDC1", "TNFRSF17", "IRF4", "PRDM1", "XBP1", "JCHAIN"),
    }
)
"""Genes of the tissue of origin, which dominate expression and say nothing of the subtype."""

QUIET_GENES = (
    "ACTB", "GAPDH", "B2M", "HPRT1", "TBP", "PPIA", "YWHAZ", "SDHA", "UBC", "RPLP0", "RPL13A", "HMBS", "GUSB",
    "TFRC", "PGK1", "TUBB", "LDHA", "NONO", "EEF1A1", "RPS18", "PSMB4", "RAB7A", "VCP", "CHMP2A", "EMC7", "GPI",
    "REEP5", "SNRPD3", "VPS29", "C1ORF43", "ATP5F1B", "COX4I1", "NDUFB8", "UQCRC1", "CANX", "CALR", "HSP90AB1",
    "HSPA8", "PABPC1", "EIF4A2", "SRSF3", "HNRNPC", "DDX5", "XRCC6", "PARP1", "MCM3AP", "POLR2A", "TAF10", "MED14",
    "BRD4",
)  # fmt: skip
"""Genes that no program drives."""

DRIVER_TILT: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "osteolytic": {"PIK3CA": 0.9, "KRAS": 0.9, "DIS3": 0.8, "TENT5C": 0.8},
        "osteoblastic": {"SPOP": 1.2, "PTEN": 0.9, "ESR1": 0.9, "AR": 0.8, "CDH1": 0.8},
        "proliferative": {"TP53": 1.5, "RB1": 1.6, "CDKN2A": 1.0, "BRCA2": 0.8},
        "inflamed_vascular": {"VHL": 1.0, "PBRM1": 1.2, "BRAF": 0.8, "KEAP1": 0.6, "BAP1": 0.8},
    }
)
"""Added to the logarithm of a driver's odds in a subtype."""


class ImageFeature(NamedTuple):
    """A feature of a lesion's image and how the programs move it.

    Parameters
    ----------
    mean, sd : float
        Of the average tumor population, in the feature's unit.
    pull : tuple of float
        Change with each of `PROGRAMS`, in standard deviations.
    group : str
        The sequence it is measured on, by which scanners distort it together; ``"shape"`` for none.
    """

    mean: float
    sd: float
    pull: tuple[float, ...]
    group: str


def _f(group: str, mean: float, sd: float, *pull: float) -> ImageFeature:
    return ImageFeature(mean, sd, pull, group)


IMAGE_FEATURES: Mapping[str, ImageFeature] = MappingProxyType(
    {
        # log of lesion over own normal marrow; spread and texture inside the lesion (IBSI)
        "T1_contrast": _f("T1", -0.45, 0.20, -0.2, -0.5, -0.2, 0.3, 0.0, 0.0),
        "T1_variation": _f("T1", 0.30, 0.10, 0.3, 0.1, -0.4, 0.2, 0.1, 0.0),
        "T1_entropy": _f("T1", 4.80, 0.90, 0.3, 0.2, -0.3, 0.1, 0.2, 0.0),
        "T1_inverse_difference": _f("T1", 0.72, 0.08, -0.2, -0.1, 0.4, -0.1, -0.1, 0.0),
        "T2_contrast": _f("T2", 0.00, 0.30, 0.3, -0.7, -0.1, 0.3, 0.2, 0.0),
        "T2_variation": _f("T2", 0.38, 0.14, 0.3, -0.2, -0.3, 0.1, 0.4, 0.0),
        "T2_entropy": _f("T2", 5.30, 0.90, 0.2, -0.3, -0.2, 0.2, 0.3, 0.0),
        "T2_inverse_difference": _f("T2", 0.69, 0.08, -0.1, 0.3, 0.4, 0.0, -0.3, 0.0),
        "STIR_contrast": _f("STIR", 0.80, 0.38, 0.3, -0.7, 0.0, 0.5, 0.3, 0.0),
        "STIR_variation": _f("STIR", 0.35, 0.11, 0.3, 0.0, -0.3, 0.3, 0.2, 0.0),
        "STIR_entropy": _f("STIR", 5.70, 0.50, 0.2, -0.2, -0.3, 0.3, 0.2, 0.0),
        "STIR_inverse_difference": _f("STIR", 0.68, 0.06, -0.1, 0.2, 0.4, -0.2, -0.1, 0.0),
        "T1CE_contrast": _f("T1CE", 0.18, 0.25, 0.1, -0.5, 0.2, 0.2, 0.8, 0.0),
        "T1CE_variation": _f("T1CE", 0.22, 0.08, 0.4, -0.1, -0.1, 0.1, 0.4, 0.0),
        "T1CE_entropy": _f("T1CE", 5.20, 0.60, 0.3, -0.2, 0.0, 0.1, 0.4, 0.0),
        "DWI_contrast": _f("DWI", 0.85, 0.40, 0.0, -0.5, 0.7, -0.1, 0.0, 0.0),
        "DWI_variation": _f("DWI", 0.36, 0.12, 0.3, 0.1, -0.2, 0.1, 0.1, 0.0),
        "ADC_mean_um2_s": _f("ADC", 950.0, 210.0, 0.3, -0.3, -0.8, 0.5, 0.2, 0.1),
        "ADC_percentile_10_um2_s": _f("ADC", 700.0, 190.0, 0.1, -0.3, -0.8, 0.4, 0.1, 0.1),
        "ADC_variation": _f("ADC", 0.24, 0.07, 0.4, 0.1, -0.3, 0.1, 0.2, 0.0),
        "fat_fraction_percent": _f("DIXON", 9.0, 4.5, -0.4, -0.2, -0.3, 0.3, 0.0, 0.0),
        "fat_fraction_variation": _f("DIXON", 0.45, 0.12, 0.2, 0.1, -0.2, 0.2, 0.0, 0.0),
        "log_volume_mm3": _f("shape", 8.20, 1.10, 0.3, -0.3, 0.5, 0.0, 0.2, 0.1),
        "elongation": _f("shape", 0.75, 0.12, -0.3, 0.1, 0.1, 0.0, 0.0, -0.2),
        "flatness": _f("shape", 0.60, 0.14, -0.3, 0.2, 0.2, 0.0, 0.0, -0.1),
        "outside_bone_share": _f("shape", 0.18, 0.15, 0.4, -0.5, 0.5, 0.0, 0.3, 0.2),
        "vertebra_share": _f("shape", 0.14, 0.12, 0.2, 0.1, 0.4, -0.1, 0.0, 0.0),
        "posterior_position": _f("shape", 0.20, 0.60, 0.1, -0.2, 0.1, 0.2, 0.0, 0.0),
        "level_position": _f("shape", 0.66, 0.18, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0),
    }
)
"""Features of a lesion's image, in the names and units in which an analysis measures them. Means and spreads of
contrast, texture, form and place are near those of lytic, sclerotic and mixed lesions of simulated studies (10 lesions
of 5 patients); diffusion and fat, and how programs move all of them, were chosen by us."""
