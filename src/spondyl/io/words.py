"""The words in which people name sequences, in the languages of the sites that send them.

Descriptions are free text. They are searched for known words, and only the *name* of a word list ever leaves this
module as evidence, never the text itself. Words need boundaries: bare ``cal`` is in "cervical", ``pos`` in "post".
The lists were collected by us from vendors' protocol names and translations; they have no published source.
"""

from __future__ import annotations

import re
import unicodedata

_START = r"(?:(?<![a-z])|(?<=sag)|(?<=tra)|(?<=cor)|(?<=ax))"
"""A word begins after anything but a letter, or after a plane's short name, as in ``sagt2``."""

_PATTERNS = {
    "localizer": (
        r"\bloc(?:ali[sz]er)?s?\b|\bscouts?\b|survey|\b3 ?plane?\b|calibration|\basset cal\b|\bref scan\b|\bshim|"
        r"smart ?brain|autoalign|\btopog|\breperage|surview|localizador|\bubersicht|定位|\bprescan\b|\bmobiloc"
    ),
    "derived": r"\bmips?\b|\bmpr\b|\bsub(?:traction|tracted)?\b|\bsubtr\b|screen ?save|\bsubtraktion|\bfused\b",
    "composed": r"\bcompos(?:ed|ing)\b|mobiview|\bpasted\b|\bstitched\b|\bcombined\b|\bpanorama",
    "phase": r"\bphase ?map|field ?map|\bfmap\b|\bb0 ?map|\bpc ?mri\b|\bvenc",
    "t2flair": r"dark ?fluid|(?<!t1 )(?<!t1)flair",
    "t1": rf"{_START}t1(?!\d|rho)|t1 ?flair|mp ?rage\b|\bvibe\b|\blava\b|\bthrive\b",
    "t2": rf"{_START}t2(?!\d| ?star| ?\*|map)|\bfrfse\b|\bciss\b|\bfiesta\b|\bhaste\b|\bssfse\b",
    "t2star": r"t2 ?(?:star|\*)|\bmedic\b|\bmerge\b|\bmffe\b|\bswi\b|\bswan\b",
    "pd": r"(?<![a-z])pd(?:w|fs)?(?![a-z])|proton ?dens|\bdp\b",
    "stir": r"(?<![a-z])(?:stir|(?:turbo)?tirm|t2 ?ir\b)|turbo ?irm|\bir ?tse\b|\birfse\b|\bfatsup ir\b",
    "fat suppressed": (
        r"\bfs\b|(?<=\dw)fs\b|(?<=t[12])fs\b|(?<=tse)fs\b|fat ?sat|\bspair\b|\bspir\b|\bchess\b|water ?exc|\bwe\b|"
        r"fat ?supp|\bsat ?graisse|\bfettsatt|\bsupr ?grasa"
    ),
    "spair": r"\bspair\b",
    "dwi": (
        r"\bdwi?\b|(?<![a-z])ep2d ?diff|\bdiff(?:usion)?\b|\bdwibs\b|\btrace ?w?\b|\bresolve\b|\bb ?\d{2,4}\b|"
        r"弥散|拡散"
    ),
    "adc": r"\badc\b|apparent diff|\bdadc\b|\beadc\b",
    "dixon": r"dixon|\bideal\b|\bflex\b|\bwfi\b|\bfact\b",
    "water": r"(?:^| )w$|\bwater\b(?! ?(?:exc|sat|sup|sel))|(?:^| )w(?= |$)",
    "fat": r"(?:^| )f$|\bfat(?! ?(?:sat|sup|frac))\b|(?:^| )f(?= |$)",
    "in phase": r"\bin ?ph(?:ase)?\b|(?:^| )(?:ip|in)(?= |$)",
    "opposed phase": r"\b(?:opp?|out)(?:osed)? ?(?:of ?)?ph(?:ase)?\b|(?:^| )(?:op|opp)(?= |$)",
    "fat fraction": r"fat ?frac|\bpdff\b|\bff\b|\bfatfrac",
    "before contrast": (
        r"\bnativ|\bsans (?:inj|gado|contr)|\bsin (?:contr|gado|cte|civ)|\bbasale\b|\bsenza (?:mdc|contr)|\bprima mdc|"
        r"\bsem contr|\bpre(?: ?(?:gd|gado|contr|c|inj|mdc))?\b(?! ?op)|\bw ?o\b|\bwithout\b|\bnon ?contr|\bno contr|"
        r"\bunenh|\bohne (?:km|kontr)|\bzonder (?:contr|gd)|\bvoor contr|\bbez (?:kontr|sk)|до контраст|без контраст|"
        r"平扫|単純|조영 ?전|\bkontrastsiz"
    ),
    "after contrast": (
        r"\bgd\b|(?<=t1)gd\b|\bgad\b|\bgado\w*|\+ ?(?:c|gd|km|k|contr\w*)\b|\bc ?\+(?= |$)|"
        r"\bpost\b(?! ?(?:op|proc|surg|lam|ant|trau))|\bce\b|(?<=t1)ce\b|\bcontrast\w*|\bkm\b|\bapres inj|\binj\b|"
        r"\bcon (?:contr|cte|civ)|\bcte\b|\bmdc\b|\bpos (?:contr|gd|gado)|\bna contr|\bmet (?:gd|contr)|\bpo kontr|"
        r"\bz kontrastem|\bkontrastm|с контраст|после к|постконтраст|增强|造影|조영|\bkontrastli"
    ),
    "with and without": (
        r"\bw(?:ith)?(?: ?(?:and|&|\+))? ?w ?o\b|with (?:and|&) without|\bwwo\b|mit und ohne|avec et sans"
    ),
    "sagittal": r"(?<![a-z])sag|矢状|矢印",
    "axial": r"(?<![a-z])(?:ax|tra)(?![a-z]{4})|axial|transv|横断|轴",
    "coronal": r"(?<![a-z])cor(?![a-z]{5})|coronal|frontal|冠状",
    "label map": r"\bseg(?:mentation)?s?\b|\bmasks?\b|\bmsk\b|\blabelmap\b|\bcenterline\b",
    "other modality": r"\bct\b|\bcbct\b|\bpet\b|\bxr\b",
}

_COMPILED = {name: re.compile(pattern) for name, pattern in _PATTERNS.items()}


def normalized(text: str) -> str:
    """Make free text comparable: lower case, no accents, separators as single spaces.

    Parameters
    ----------
    text : str
        A description, protocol name or file name.

    Returns
    -------
    str
        Words in any script, ``+``, ``*`` and ``&``, separated by spaces.
    """
    decomposed = unicodedata.normalize("NFKD", text.lower().replace("ı", "i"))
    plain = unicodedata.normalize("NFC", "".join(c for c in decomposed if not unicodedata.combining(c)))
    return re.sub(r"[^\w+*&]+|_+", " ", plain).strip()


def found(text: str) -> frozenset[str]:
    """Give the names of the word lists that a text matches.

    Parameters
    ----------
    text : str
        Free text, as `normalized` gives it or not.

    Returns
    -------
    frozenset of str
        Such as ``{"t1", "sagittal", "after contrast"}``; a text that says "before contrast" or "with and without"
        never also says "after contrast".
    """
    text = normalized(text)
    names = {name for name, pattern in _COMPILED.items() if pattern.search(text)}
    if names & {"before contrast", "with and without"}:
        names.discard("after contrast")
    if "with and without" in names:
        names.discard("before contrast")
    if "dixon" not in names:
        names -= {"in phase", "opposed phase"} if not re.search(r"phase|ph\b", text) else set()
        names -= {"water", "fat"} if not re.search(r"\b(?:water|fat)\b", text) else set()
    return frozenset(names)
