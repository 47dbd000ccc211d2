"""The reference pages name what the code can say, no more and no less."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "reference" / "quality-flags.md").read_text(encoding="utf-8")
DOCUMENTED = set(re.findall(r"^\| `([a-z0-9_]+)` \| (?!good to know|read the result|a part of)", PAGE, re.MULTILINE))


def sources() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted((ROOT / "src").rglob("*.py"))]


def flag_codes() -> set[str]:
    """Codes that stand as plain words in a call of QualityFlag."""
    calls = (n for text in sources() for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call))
    flags = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "QualityFlag"]
    first = [c.args[0] if c.args else next(k.value for k in c.keywords if k.arg == "code") for c in flags]
    return {a.value for a in first if isinstance(a, ast.Constant)}


def test_every_quality_flag_is_documented():
    assert not flag_codes() - DOCUMENTED


def test_every_documented_quality_flag_exists():
    everything = "\n".join(sources())
    composed = {"lesions_failed", "align_failed"}  # made of the step's name, in pipeline/run.py
    assert not {code for code in DOCUMENTED - composed if f'"{code}"' not in everything}
