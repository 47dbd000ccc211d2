"""Write the tables of the reference pages from the code they describe.

Prose about settings, fields and options is written by hand; their names, kinds and defaults are not, because such
tables are the first part of any documentation to become untrue. A page holds a marked place for each table::

    <!-- made: settings -->
    ...
    <!-- end -->

``python docs/make_reference.py`` fills the places; with ``--check`` it changes nothing and exits 1 where a page lags.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.main
from numpydoc.docscrape import ClassDoc

import spondyl
from spondyl.app.cli import app
from spondyl.app.serve_settings import (
    DicomArchive,
    DicomDestination,
    Ohif,
    Peer,
    ServeSettings,
    Tls,
    WebArchive,
    WebDestination,
)
from spondyl.io.clinical import form_fields
from spondyl.io.result import SCHEMA_FILE
from spondyl.pipeline.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]

PLACE = re.compile(r"(?P<open><!-- made: (?P<what>\w+) -->\n).*?(?P<close><!-- end -->)", re.DOTALL)

HIDDEN_OPTIONS = {"help", "install_completion", "show_completion"}
"""Options that the command-line library adds by itself."""


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _table(head: tuple[str, ...], rows: list[str]) -> str:
    return "\n".join([_row(*head), "|" + "---|" * len(head), *rows])


def settings_tables() -> str:
    """Give a table for each part of the settings.

    Returns
    -------
    str
        Markdown.
    """
    default = Settings()
    parts = [("at the top", default)]
    parts += [(f"`[{f.name}]`", v) for f in fields(default) if is_dataclass(v := getattr(default, f.name))]
    return "\n\n".join(f"### {title}\n\n{_settings_table(part)}" for title, part in parts)


def _settings_table(part: Any) -> str:
    described = {
        name.strip(): " ".join(p.desc) for p in ClassDoc(type(part))["Parameters"] for name in p.name.split(",")
    }
    rows = []
    for f in fields(part):
        value = getattr(part, f.name)
        if not is_dataclass(value):
            shown = json.dumps(value, ensure_ascii=False, default=list) if value is not None else "none"
            rows.append(_row(f"`{f.name}`", f"`{shown}`", described.get(f.name, "")))
    return _table(("key", "default", "meaning"), rows) if rows else "No settings."


def node_tables() -> str:
    """Give a table for the settings of the node and one for each of their parts.

    Returns
    -------
    str
        Markdown.
    """
    parts = {
        "at the top": ServeSettings,
        "`[[peers]]`": Peer,
        "`[[destinations]]` of kind dicom": DicomDestination,
        "`[[destinations]]` of kind dicomweb": WebDestination,
        "`[priors]` of kind dicom": DicomArchive,
        "`[priors]` of kind dicomweb": WebArchive,
        "`[ohif]`": Ohif,
        "`[dicom_tls]`, `[web_tls]`, `tls` of a destination or of `[priors]`": Tls,
    }
    return "\n\n".join(f"### {title}\n\n{_node_table(part)}" for title, part in parts.items())


def _node_table(part: Any) -> str:
    described = {name.strip(): " ".join(p.desc) for p in ClassDoc(part)["Parameters"] for name in p.name.split(",")}
    rows = []
    for name, field in part.model_fields.items():
        default = "required" if field.is_required() else f"`{json.dumps(field.default, default=str)}`"
        secret = "SecretStr" in str(field.annotation)
        rows.append(_row(f"`{name}`", '`""`' if secret else default, described.get(name, "")))
    return _table(("key", "default", "meaning"), rows)


def result_tables() -> str:
    """Give a table for each object of the result file.

    Returns
    -------
    str
        Markdown.
    """
    path = Path(spondyl.__file__).parent / "io" / "schema" / SCHEMA_FILE
    schema = json.loads(path.read_text(encoding="utf-8"))
    return "\n\n".join(f"### {title}\n\n{table}" for title, table in _objects(schema, "at the top"))


def _objects(schema: dict[str, Any], title: str) -> Iterator[tuple[str, str]]:
    """Give the table of an object and of every object inside it."""
    required = set(schema.get("required", ()))
    rows, inner = [], []
    for name, part in schema["properties"].items():
        star = "" if name in required else " (optional)"
        rows.append(_row(f"`{name}`{star}", _kind(part), part.get("description", "")))
        below = part.get("items", part)
        if isinstance(below, dict) and below.get("properties"):
            path = name if title == "at the top" else f"{title.strip('`')}.{name}"
            inner.append((below, f"`{path}{'[]' if 'items' in part else ''}`"))
    yield title, _table(("field", "kind", "meaning"), rows)
    for below, name in inner:
        yield from _objects(below, name)


def _kind(part: dict[str, Any]) -> str:
    if "const" in part:
        return f"`{json.dumps(part['const'])}`"
    if "enum" in part:
        return ", ".join(f"`{json.dumps(v)}`" for v in part["enum"])
    kind = part.get("type", "any")
    words = " or ".join(kind) if isinstance(kind, list) else kind
    if kind == "array" and "type" in part.get("items", {}):
        count = f"{part['maxItems']} " if part.get("minItems") == part.get("maxItems", -1) else ""
        words = f"list of {count}{_kind(part['items'])}s"
    return words


def command_tables() -> str:
    """Give the usage and options of every command.

    Returns
    -------
    str
        Markdown.
    """
    return "\n\n".join(_commands(typer.main.get_command(app), "spondyl"))


def _commands(command: Any, name: str) -> Iterator[str]:
    for word, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from _commands(below, f"{name} {word}")
    if hasattr(command, "commands"):
        return
    rows, arguments = [], []
    for p in command.params:
        if p.name in HIDDEN_OPTIONS or getattr(p, "hidden", False):
            continue
        shown = ", ".join(p.opts)
        if p.param_type_name == "argument":
            shown = p.metavar or p.name.upper()
            arguments.append(shown)
        elif p.metavar:
            shown += f" {p.metavar}"
        default = f"`{p.default}`" if isinstance(p.default, str | int | float | Path) and p.default is not False else ""
        rows.append(_row(f"`{shown}`", default, getattr(p, "help", "") or ""))
    text = " ".join((command.help or "").split())
    table = "\n\n" + _table(("option", "default", "meaning"), rows) if rows else ""
    yield f"### `{' '.join([name, *arguments])}`\n\n{text}{table}"


def clinical_table() -> str:
    """Give the table of the clinical form.

    Returns
    -------
    str
        Markdown.
    """
    rows = [_row(f"`{name}`", allowed, text) for name, allowed, text in form_fields()]
    return _table(("field", "allowed", "meaning"), rows)


TABLES = {
    "clinical": clinical_table,
    "settings": settings_tables,
    "node": node_tables,
    "result": result_tables,
    "commands": command_tables,
}


def filled(text: str) -> str:
    """Fill the marked places of a page.

    Parameters
    ----------
    text : str
        Markdown.

    Returns
    -------
    str
        The same page with fresh tables.
    """
    return PLACE.sub(lambda m: f"{m['open']}\n{TABLES[m['what']]()}\n\n{m['close']}", text)


def main() -> int:
    """Fill the pages, or say which lag.

    Returns
    -------
    int
        Exit code: 1 if `--check` found a page that lags.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a page lags")
    check = parser.parse_args().check
    lagging = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (fresh := filled(text)) != text:
            lagging.append(str(page.relative_to(ROOT)))
            if not check:
                page.write_text(fresh, encoding="utf-8")
    remedy = "run: python docs/make_reference.py" if check else "written"
    print(f"reference pages: {', '.join(lagging) + ' lag behind the code; ' + remedy if lagging else 'up to date'}")
    return 1 if lagging and check else 0


if __name__ == "__main__":
    sys.exit(main())
