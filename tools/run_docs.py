"""Run the commands and programs that stand in README.md and docs/, so that the documentation cannot rot.

Every fenced block that says ``bash`` or ``python`` runs, page by page, each page in a folder of its own; the python
blocks of a page share their variables. A comment on the line before a block changes that:

``<!-- skip: reason -->``
    The block does not run; the reason is compulsory and is printed.
``<!-- output -->``
    Before a ``text`` block: what the block before it prints must be exactly this.

``<!-- needs: program another -->``
    Anywhere on a page: it runs only where these programs are; elsewhere it is skipped and names them.

The first tutorial leaves a synthetic patient and its analysis behind; every later page starts with a copy of them, so
that the whole documentation costs one simulation.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

FIRST_PAGE = "docs/tutorials/first-study.md"
"""The page that makes what the others use."""

SHARED = ("patient", "result")
"""Folders of the first page that every other page finds in its own folder."""

BLOCK_LIMIT_S = 600
"""A block that takes longer than this hangs, even on a busy machine; chosen by us."""

FENCE = re.compile(
    r"(?:^<!--[ ]*(?P<mark>skip|output)(?::[ ]*(?P<reason>[^\n]*?))?[ ]*-->\n\n?)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w+)[ ]*\n(?P<code>.*?)^(?P=indent)```[ ]*$",
    re.MULTILINE | re.DOTALL,
)

NEEDS = re.compile(r"^<!--[ ]*needs:[ ]*([^\n]*?)[ ]*-->$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page.

    Parameters
    ----------
    language : str
        ``"bash"``, ``"python"`` or ``"text"``.
    code : str
        What stands between the fences.
    line : int
        Line of the opening fence, from 1.
    mark : str
        ``"skip"``, ``"output"`` or nothing.
    reason : str
        Why the block is skipped.
    """

    language: str
    code: str
    line: int
    mark: str = ""
    reason: str = ""


class SnippetError(Exception):
    """A block did not do what its page says."""


def blocks(text: str) -> list[Block]:
    """Find the fenced blocks of a page that matter here.

    Parameters
    ----------
    text : str
        Markdown.

    Returns
    -------
    list of Block
        In reading order.

    Raises
    ------
    SnippetError
        If a block is skipped without a reason.
    """
    found = []
    for m in FENCE.finditer(text):
        line = text.count("\n", 0, m.start("language")) + 1
        mark, reason = m["mark"] or "", m["reason"] or ""
        if mark == "skip" and not reason:
            msg = f"line {line}: a skipped block needs a reason: <!-- skip: why -->"
            raise SnippetError(msg)
        if m["language"] in ("bash", "python") or mark == "output":
            code = "\n".join(row.removeprefix(m["indent"]) for row in m["code"].splitlines())
            found.append(Block(m["language"], code + "\n", line, mark, reason))
    return found


def run_block(block: Block, variables: dict[str, Any]) -> str:
    """Run one block in the current folder.

    Parameters
    ----------
    block : Block
        What to run.
    variables : dict
        Variables shared by the python blocks of a page; changed by the run.

    Returns
    -------
    str
        What it printed.

    Raises
    ------
    SnippetError
        If it fails.
    """
    if block.language == "python":
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(block.code, f"line {block.line}", "exec"), variables)  # noqa: S102 - our own pages
        except Exception as error:
            msg = f"line {block.line}: {type(error).__name__}: {error}"
            raise SnippetError(msg) from error
        return printed.getvalue()
    command = ["bash", "-euo", "pipefail", "-c", block.code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BLOCK_LIMIT_S, check=False)
    if done.returncode:
        msg = f"line {block.line}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        raise SnippetError(msg)
    return done.stdout


def run_page(page: Path) -> None:
    """Run all blocks of a page in the current folder, and report each on standard output.

    Parameters
    ----------
    page : Path
        A Markdown file.

    Raises
    ------
    SnippetError
        If a block fails or prints something else than the page says.
    """
    variables: dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    text = page.read_text(encoding="utf-8")
    wanted = [name for line in NEEDS.findall(text) for name in line.split()]
    absent = [name for name in wanted if shutil.which(name) is None]
    if absent:
        print(f"    skipped, {', '.join(absent)} not found: see tools/install_system_packages.sh")
        return
    for block in blocks(text):
        if block.mark == "skip":
            print(f"    line {block.line}: skipped, {block.reason}")
        elif block.mark == "output":
            if printed.strip() != block.code.strip():
                msg = f"line {block.line}: the page says\n{block.code}but the block above it printed\n{printed}"
                raise SnippetError(msg)
        else:
            start = time.monotonic()
            printed = run_block(block, variables)
            print(f"    line {block.line}: {block.language}, {time.monotonic() - start:.1f} s", flush=True)


def _environment() -> dict[str, str]:
    """Put this Python's commands first, and its package where a source tree is used without installation."""
    # Debian keeps servers in /usr/sbin, which users do not have on their path.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])
    python_path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PATH": path, "PYTHONPATH": python_path, "SPONDYL_ROOT": str(ROOT)}


def run_pages(pages: list[Path], folder: Path) -> list[str]:
    """Run pages one after the other, always the first tutorial before all others.

    Parameters
    ----------
    pages : list of Path
        Markdown files.
    folder : Path
        An empty folder; each page gets a folder inside it.

    Returns
    -------
    list of str
        Names of the pages that failed.
    """
    first = ROOT / FIRST_PAGE
    failed = []
    for number, page in enumerate([first, *sorted(p for p in pages if p != first)]):
        here = folder / str(number)
        here.mkdir()
        for name in SHARED:
            if number and (folder / "0" / name).is_dir():
                shutil.copytree(folder / "0" / name, here / name)
        print(page.relative_to(ROOT) if page.is_relative_to(ROOT) else page, flush=True)
        command = [sys.executable, str(Path(__file__).resolve()), "--here", str(page.resolve())]
        if subprocess.run(command, cwd=here, env=_environment(), check=False).returncode:
            failed.append(page.name)
    return failed


def main() -> int:
    """Run the pages named, or all of them.

    Returns
    -------
    int
        Exit code: 1 if a block failed.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path, help="Markdown files; all of README.md and docs/ if none")
    parser.add_argument("--here", action="store_true", help="run one page in the current folder")
    arguments = parser.parse_args()
    if arguments.here:
        try:
            run_page(arguments.pages[0])
        except SnippetError as error:
            print(f"    FAILED {error}", file=sys.stderr)
            return 1
        return 0
    pages = [p.resolve() for p in arguments.pages] or [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="spondyl-docs-") as folder:
        failed = run_pages(pages, Path(folder))
    print(f"documentation: {len(pages)} pages in {time.monotonic() - start:.0f} s, {len(failed)} failed {failed or ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
