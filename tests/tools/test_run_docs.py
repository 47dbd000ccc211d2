"""The runner of the documentation notices what it is there to notice."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "run_docs.py"


@pytest.fixture(scope="module")
def run_docs():
    spec = importlib.util.spec_from_file_location("run_docs", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules["run_docs"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["run_docs"]


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        path = tmp_path / "page.md"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_blocks_run_in_order_and_python_blocks_share_variables(run_docs, page, tmp_path):
    run_docs.run_page(
        page(
            "```python\nn = 2\n```\ntext\n```bash\necho made > file.txt\n```\n"
            "```python\nfrom pathlib import Path\nmade = Path('file.txt').read_text()\n"
            "Path('n.txt').write_text(str(n) + made)\n```\n"
        )
    )
    assert (tmp_path / "n.txt").read_text() == "2made\n"


def test_other_languages_do_not_run(run_docs):
    assert run_docs.blocks("```text\nrm -rf nothing\n```\n```json\n{}\n```\n") == []


@pytest.mark.parametrize("block", ["```bash\nfalse\n```\n", "```bash\nfalse | true\n```\n", "```python\n1 / 0\n```\n"])
def test_a_failing_block_is_reported_with_its_line(run_docs, page, block):
    with pytest.raises(run_docs.SnippetError, match="line 3"):
        run_docs.run_page(page("# Title\n\n" + block))


def test_output_must_be_what_the_page_says(run_docs, page):
    right = "```python\nprint(1 + 1)\n```\n\n<!-- output -->\n```text\n2\n```\n"
    run_docs.run_page(page(right))
    with pytest.raises(run_docs.SnippetError, match="the page says"):
        run_docs.run_page(page(right.replace("\n2\n", "\n3\n")))


def test_a_block_is_skipped_with_a_reason_only(run_docs, page, capsys):
    run_docs.run_page(page("<!-- skip: needs a PACS -->\n```bash\nfalse\n```\n"))
    assert "needs a PACS" in capsys.readouterr().out
    with pytest.raises(run_docs.SnippetError, match="needs a reason"):
        run_docs.run_page(page("<!-- skip -->\n```bash\nfalse\n```\n"))


def test_an_indented_block_runs_without_its_indent(run_docs, page):
    run_docs.run_page(page("1. First\n\n   ```python\n   if True:\n       done = 1\n   ```\n"))


def test_a_page_that_needs_a_missing_program_is_skipped_and_names_it(run_docs, page, capsys):
    run_docs.run_page(page("<!-- needs: sh no-such-program -->\n\n```bash\nfalse\n```\n"))
    assert "no-such-program not found" in capsys.readouterr().out
    with pytest.raises(run_docs.SnippetError):
        run_docs.run_page(page("<!-- needs: sh -->\n\n```bash\nfalse\n```\n"))
