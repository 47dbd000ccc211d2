"""The repository keeps its own rules: sizes, words, links, one version."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from spondyl import __version__

ROOT = Path(__file__).resolve().parents[1]

MOST_LINES = 500
"""A Python file longer than this is not read in a sitting (CONTRIBUTING.md)."""

TEXT_SUFFIXES = {".py", ".md", ".toml", ".cff", ".yaml", ".yml", ".sh", ".json", ".html", ".css", ".js", ""}

FORBIDDEN = {
    "a path of one machine": re.compile(r"(?<![\w.$}/])/(?:work|root|home|opt|Users)/[\w.]"),
    "the address of a package registry": re.compile(r"py" + r"pi\.(?:org|python)|python" + r"hosted\."),
    "a task without the number of its issue": re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b(?!\s*\(?#\d)"),
    "a placeholder": re.compile(r"^\"{3}To be writ" + r"ten", re.MULTILINE),
}
"""What must not stand in any text file, and how it looks. Split so that this file does not contain it."""

LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")


def files() -> list[Path]:
    """Every file that belongs to the project: tracked, or new and not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout, so it is not known which files belong to the project")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def text_files() -> list[Path]:
    return [f for f in files() if f.suffix in TEXT_SUFFIXES and f.name != "LICENSE" and "vendor" not in f.parts]


def pages() -> list[Path]:
    return [f for f in files() if f.suffix == ".md"]


def test_no_python_file_is_too_long_to_read_in_a_sitting():
    lengths = {f.relative_to(ROOT): f.read_text(encoding="utf-8").count("\n") for f in files() if f.suffix == ".py"}
    assert not {name: n for name, n in lengths.items() if n > MOST_LINES}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_text_holds(what):
    found = []
    for file in text_files():
        for match in FORBIDDEN[what].finditer(text := file.read_text(encoding="utf-8")):
            found.append(f"{file.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1} {match[0]}")
    assert not found


def test_every_link_in_the_documentation_leads_somewhere():
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages()
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_every_page_is_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or not page.is_file():
            continue
        reached.add(page)
        links = LINK.findall(page.read_text(encoding="utf-8"))
        waiting += [(page.parent / target).resolve() for target in links if target.endswith(".md")]
    assert not [str(p.relative_to(ROOT)) for p in pages() if p not in reached]


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert project["version"] == __version__
    assert f"\nversion: {__version__}\n" in citation


def test_torch_is_no_runtime_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert not [d for d in project["dependencies"] if re.match(r"torch|monai|lightning", d)]


def test_the_readme_says_research_use_only():
    assert "research use only" in (ROOT / "README.md").read_text(encoding="utf-8").lower()
