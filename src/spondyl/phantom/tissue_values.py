"""Published MR properties of each tissue: the table from which `relaxation` draws a patient.

Sources of the columns, by the letter in the table's comments. Values without a letter are chosen by us inside the span
of these sources to match published contrast ratios; `tests/phantom/test_contrast.py` holds the ratios.

* a: de Bazelaire 2004, 3 T, T1 and T2 of abdomen and marrow, Radiology 230:652, doi 10.1148/radiol.2303021331
* b: Stanisz 2005, 1.5 and 3 T, T1 and T2 of muscle, cord, cartilage, blood, doi 10.1002/mrm.20605
* c: Smith 2008, 3 T, T1 and T2 of the cervical cord, doi 10.1002/mrm.21596
* d: Drake-Pérez 2018, T1, T2 and proton density of discs, CSF and bodies, AJNR 39:788
* e: Messiou 2011, ADC of marrow, metastases and myeloma, doi 10.1007/s00330-011-2116-4
* f: Dietrich 2009, ADC of benign and malignant vertebral lesions, Semin Musculoskelet Radiol 13:134
* g: Gold 2004, T1 and T2 of muscle, fat, marrow and cartilage at 1.5 and 3 T, doi 10.2214/ajr.183.2.1830343
* h: Gaudino 2015, the look of hemangioma and its atypical form, Skeletal Radiol 44:25
* i: methemoglobin and melanin shorten T1 below that of muscle; the number is chosen by us to be bright on T1
* j: Padhani 2017 (doi 10.1016/j.eururo.2016.05.033), ADC of treated metastases above 1400; the rest is chosen by us
* k: chosen by us to give the appearance on T1, T2 and after contrast that reviews of these tumors agree on
"""

from __future__ import annotations

from typing import NamedTuple

from spondyl.phantom.tissue import Tissue


class TissueValues(NamedTuple):
    """Typical values of one tissue.

    Parameters
    ----------
    fat_fraction : float
        Share of the fat pool in the signal-giving protons, 0 to 1.
    t1_1_5t_ms, t1_3t_ms : float
        T1 of the water pool in ms at 1.5 and 3 T.
    t2_ms : float
        T2 of the water pool in ms.
    t2star_1_5t_ms : float
        T2* in ms at 1.5 T.
    proton_density : float
        Signal-giving protons relative to CSF, flow and magnetization transfer included.
    adc_um2_s : float
        Apparent diffusion coefficient of the water pool in 10⁻⁶ mm²/s.
    flow_void : float
        Share of the signal lost to flow in spin echoes, 0 to 1.
    gadolinium_mmol_l : float
        Concentration three to five minutes after 0.1 mmol/kg, in mmol/L.
    texture : tuple of float
        Standard deviation of fat fraction (absolute), proton density (relative) and T2 (relative, on a log scale)
        inside the tissue.
    """

    fat_fraction: float
    t1_1_5t_ms: float
    t1_3t_ms: float
    t2_ms: float
    t2star_1_5t_ms: float
    proton_density: float
    adc_um2_s: float
    flow_void: float = 0.0
    gadolinium_mmol_l: float = 0.0
    texture: tuple[float, float, float] = (0.0, 0.05, 0.0)


_V = TissueValues
T = Tissue

TISSUE_VALUES: dict[Tissue, TissueValues] = {
    T.AIR: _V(0.0, 1000, 1000, 50, 1, 0.0, 0, texture=(0, 0, 0)),
    T.SKIN: _V(0.10, 850, 1000, 30, 10, 0.55, 900, 0, 0.10, (0, 0.10, 0)),
    T.SUBCUTANEOUS_FAT: _V(0.93, 900, 1100, 35, 30, 0.95, 700, 0, 0.0, (0.03, 0.06, 0)),  # a, g
    T.MUSCLE: _V(0.06, 950, 1150, 32, 27, 0.80, 1400, 0, 0.04, (0.07, 0.03, 0.04)),  # a, b, g
    T.INTERMUSCULAR_FAT: _V(0.85, 900, 1100, 35, 28, 0.92, 700, 0, 0.0, (0.08, 0.06, 0)),
    T.LIGAMENT: _V(0.02, 650, 750, 10, 4, 0.25, 800, 0, 0.02, (0.02, 0.20, 0.1)),
    T.MARROW: _V(0.45, 880, 1080, 49, 15, 0.80, 550, 0, 0.08, (0.07, 0.05, 0.04)),  # a, d, e
    T.CORTEX: _V(0.02, 600, 700, 8, 1.5, 0.12, 300, 0, 0.0, (0.02, 0.25, 0)),
    T.BASIVERTEBRAL_VEIN: _V(0.15, 1200, 1450, 90, 40, 0.80, 1400, 0.15, 0.60, (0.05, 0.10, 0.05)),
    T.NUCLEUS: _V(0.0, 1050, 1250, 82, 55, 0.78, 1750, 0, 0.01, (0, 0.09, 0.28)),  # d
    T.ANNULUS: _V(0.0, 680, 800, 34, 15, 0.52, 1100, 0, 0.02, (0, 0.14, 0.10)),
    T.DISC_CLEFT: _V(0.0, 700, 800, 38, 15, 0.55, 1100, 0, 0.02, (0, 0.15, 0.10)),
    T.CSF: _V(0.0, 4000, 4270, 1500, 400, 1.0, 3000, 0.12, 0.0, (0, 0.02, 0)),  # d
    T.CORD: _V(0.0, 760, 930, 80, 50, 0.66, 900, 0, 0.0, (0, 0.02, 0.02)),  # b, c
    T.ROOTS: _V(0.02, 850, 1000, 85, 50, 0.70, 1300, 0, 0.01, (0, 0.04, 0.05)),
    T.EPIDURAL_FAT: _V(0.88, 900, 1100, 35, 28, 0.95, 700, 0, 0.0, (0.05, 0.05, 0)),
    T.EPIDURAL_VEIN: _V(0.0, 1450, 1700, 180, 80, 0.85, 1800, 0.25, 0.80, (0, 0.12, 0)),
    T.POSTERIOR_MARROW: _V(0.50, 880, 1080, 49, 14, 0.76, 500, 0, 0.08, (0.08, 0.06, 0.04)),
    T.POSTERIOR_CORTEX: _V(0.02, 600, 700, 8, 1.5, 0.13, 300, 0, 0.0, (0.02, 0.25, 0)),
    T.CARTILAGE: _V(0.0, 1000, 1170, 40, 20, 0.60, 1300, 0, 0.02, (0, 0.06, 0.05)),  # b, g
    T.SACRAL_MARROW: _V(0.53, 880, 1080, 49, 14, 0.80, 500, 0, 0.07, (0.08, 0.06, 0.04)),
    T.SACRAL_CORTEX: _V(0.02, 600, 700, 8, 1.5, 0.13, 300, 0, 0.0, (0.02, 0.25, 0)),
    T.RIB_MARROW: _V(0.40, 880, 1080, 49, 14, 0.75, 550, 0, 0.08, (0.07, 0.06, 0.04)),
    T.RIB_CORTEX: _V(0.02, 600, 700, 8, 1.5, 0.13, 300, 0, 0.0, (0.02, 0.25, 0)),
    T.ARTERY: _V(0.0, 1500, 1750, 220, 150, 0.90, 2200, 0.90, 1.0, (0, 0.20, 0)),  # b
    T.VEIN: _V(0.0, 1450, 1650, 180, 100, 0.90, 2000, 0.72, 1.0, (0, 0.25, 0)),  # b
    T.LIVER: _V(0.06, 620, 810, 38, 27, 0.75, 1150, 0, 0.40, (0.02, 0.04, 0.03)),  # a
    T.KIDNEY: _V(0.02, 1100, 1340, 80, 45, 0.86, 2050, 0, 1.2, (0, 0.05, 0.06)),  # a
    T.SPLEEN: _V(0.0, 1080, 1330, 64, 40, 0.82, 900, 0, 0.50, (0, 0.04, 0.03)),  # a
    T.BOWEL_WALL: _V(0.05, 900, 1100, 45, 25, 0.72, 1500, 0, 0.35, (0.04, 0.15, 0.10)),
    T.BOWEL_CONTENT: _V(0.08, 850, 1000, 70, 20, 0.62, 1900, 0.1, 0.0, (0.06, 0.30, 0.45)),
    T.BOWEL_GAS: _V(0.0, 1000, 1000, 50, 1, 0.01, 0, texture=(0, 0.5, 0)),
    T.VISCERAL_FAT: _V(0.90, 900, 1100, 35, 28, 0.90, 700, 0, 0.0, (0.06, 0.09, 0)),
    T.BLADDER: _V(0.0, 3500, 3900, 900, 400, 1.0, 2900, 0, 0.0, (0, 0.01, 0)),
    T.LUNG: _V(0.0, 1200, 1300, 45, 1.5, 0.12, 1500, 0.3, 0.2, (0, 0.30, 0)),
    T.TRACHEA: _V(0.0, 1000, 1000, 50, 1, 0.005, 0, texture=(0, 0, 0)),
    T.TUMOR_LYTIC: _V(0.03, 1220, 1450, 78, 38, 0.80, 950, 0, 0.42, (0.02, 0.07, 0.12)),  # e, f
    T.TUMOR_SCLEROTIC: _V(0.03, 1000, 1200, 28, 5, 0.28, 700, 0, 0.15, (0.02, 0.20, 0.10)),
    T.TUMOR_DIFFUSE: _V(0.11, 1120, 1360, 68, 30, 0.82, 750, 0, 0.32, (0.05, 0.06, 0.08)),  # e
    T.TUMOR_SOFT: _V(0.01, 1200, 1430, 78, 45, 0.84, 950, 0, 0.48, (0.01, 0.07, 0.10)),
    T.TUMOR_NECROSIS: _V(0.0, 1900, 2200, 170, 90, 0.92, 2000, 0, 0.06, (0, 0.08, 0.15)),
    T.HEMANGIOMA: _V(0.60, 1200, 1400, 130, 40, 0.92, 1850, 0, 0.30, (0.10, 0.12, 0.10)),  # f, h
    T.HEMANGIOMA_ATYPICAL: _V(0.15, 1220, 1420, 140, 42, 0.90, 1750, 0, 0.50, (0.06, 0.12, 0.10)),  # h
    T.FATTY_MARROW: _V(0.82, 880, 1080, 42, 20, 0.88, 400, 0, 0.04, (0.05, 0.05, 0.03)),
    T.RED_MARROW: _V(0.27, 980, 1180, 49, 16, 0.84, 620, 0, 0.14, (0.05, 0.05, 0.04)),
    T.EDEMA: _V(0.12, 1220, 1480, 92, 30, 0.84, 1550, 0, 0.30, (0.05, 0.08, 0.10)),  # f
    T.SCLEROSIS: _V(0.08, 800, 950, 22, 3, 0.20, 500, 0, 0.02, (0.04, 0.20, 0.08)),
    T.FRACTURE_LINE: _V(0.05, 900, 1050, 30, 8, 0.38, 900, 0, 0.15, (0.02, 0.20, 0.10)),
    T.FLUID: _V(0.0, 2600, 3000, 400, 200, 0.95, 2500, 0, 0.0, (0, 0.04, 0.10)),
    T.METAL: _V(0.0, 1000, 1000, 1, 0.1, 0.0, 0, texture=(0, 0, 0)),
    T.DISC_INTERMEDIATE: _V(0.0, 790, 920, 66, 32, 0.66, 1450, 0, 0.02, (0, 0.10, 0.20)),  # d
    T.DISC_DRY: _V(0.0, 640, 740, 46, 22, 0.52, 1250, 0, 0.03, (0, 0.12, 0.16)),  # d
    T.VACUUM: _V(0.0, 1000, 1000, 50, 1, 0.01, 0, texture=(0, 0.5, 0)),
    T.TUMOR_BRIGHT: _V(0.02, 370, 450, 62, 25, 0.84, 850, 0, 0.35, (0.02, 0.10, 0.15)),  # i
    T.TUMOR_TREATED: _V(0.10, 1150, 1380, 55, 20, 0.66, 1500, 0, 0.12, (0.05, 0.10, 0.12)),  # j
    T.MYXOID: _V(0.0, 1500, 1750, 210, 110, 0.93, 1650, 0, 0.22, (0, 0.08, 0.15)),  # k
    T.MENINGEAL_TUMOR: _V(0.0, 1050, 1250, 78, 45, 0.72, 900, 0, 0.70, (0, 0.05, 0.06)),  # k
    T.NERVE_TUMOR: _V(0.0, 1300, 1550, 135, 70, 0.86, 1400, 0, 0.60, (0, 0.08, 0.15)),  # k
    T.CORD_TUMOR: _V(0.0, 1100, 1320, 115, 65, 0.78, 1200, 0, 0.40, (0, 0.07, 0.12)),  # k
    T.CORD_EDEMA: _V(0.0, 950, 1150, 110, 65, 0.72, 1250, 0, 0.0, (0, 0.04, 0.08)),
    T.INFLAMED: _V(0.05, 1250, 1500, 95, 35, 0.84, 1150, 0, 0.45, (0.04, 0.08, 0.12)),  # f
    T.PUS: _V(0.0, 1500, 1750, 160, 80, 0.90, 750, 0, 0.03, (0, 0.06, 0.12)),
    T.CEMENT: _V(0.0, 600, 700, 5, 1, 0.03, 0, 0, 0.0, (0, 0.2, 0)),
    T.SCAR: _V(0.02, 1000, 1200, 38, 20, 0.62, 1200, 0, 0.30, (0.02, 0.15, 0.10)),
}
"""Typical values by tissue, water pool at 37 °C; see the module docstring for the letters."""
