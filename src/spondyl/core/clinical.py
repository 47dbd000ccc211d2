"""The words of the clinical form: what scores and risk models may find in `Case.clinical`, as plain names."""

from __future__ import annotations

PRIMARIES = (
    "breast",
    "prostate",
    "lung",
    "kidney",
    "thyroid",
    "melanoma",
    "colon",
    "rectum",
    "stomach",
    "esophagus",
    "pancreas",
    "liver",
    "gallbladder",
    "bladder",
    "uterus",
    "ovary",
    "testis",
    "head_and_neck",
    "sarcoma",
    "osteosarcoma",
    "carcinoid",
    "myeloma",
    "lymphoma",
    "other",
    "unknown",
)
"""Primary tumors that at least one score tells apart; ``"unknown"`` is a tumor whose origin was sought in vain."""

ORGAN_METASTASES = ("none", "removable", "treatable", "untreatable")
"""Metastases of major organs: none, removable by surgery, otherwise treatable, neither."""

PAIN = ("mechanical", "occasional", "none")
"""Pain as SINS has it: mechanical (movement, loading, relief when lying), occasional but not mechanical, none."""

BONE_LESION = ("lytic", "mixed", "blastic")
"""What CT or radiographs show of the bone."""

ALIGNMENT = ("normal", "deformity", "subluxation")
"""Spinal alignment on radiographs: normal, new kyphosis or scoliosis, subluxation or translation."""

FRANKEL = ("A", "B", "C", "D", "E")
"""Frankel grades of neurological function, from complete paralysis to none (Frankel 1969, Paraplegia 7:179)."""

AMBULATION = ("independent", "assisted", "none")
"""How a patient walks."""

RADIOSENSITIVITY = ("sensitive", "resistant")
"""How a tumor answers to conventional radiotherapy."""
