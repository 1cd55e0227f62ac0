"""Fill the template of the page with data that is cut, and write its content security policy."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from pantheon_obs.cli.terminal import CommandError, encoded, text_of
from pantheon_obs.cli.wording import cut_text
from pantheon_obs.core.errors import require

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_LINES = 1000  # of a story
_DEEPEST = 20
_FOLDER = Path(__file__).parent
_SCRIPTS = ("dom.js", "tables.js", "charts.js", "stories.js", "start.js")
# None of these may stand in an element of HTML that contains JSON.
_ESCAPES = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


class Page(NamedTuple):
    """A page, and the policy that allows only the page's own scripts and style."""

    html: str
    policy: str


def render(title: str, data: Mapping[str, Any], *, live: bool = False) -> Page:
    """Render the page around its data.

    Args:
        title: The title of the page.
        data: `report` and `stories`, or `story`, as the JSON documents have them.
        live: Whether a server sends the page; it sends the policy as a header and may be asked.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    jinja2 = require("jinja2", extra="cli", feature="an HTML page")
    markup = require("markupsafe", extra="cli", feature="an HTML page").Markup
    style = _read("vendor/uPlot.min.css") + _read("page.css")
    library = _read("vendor/uPlot.iife.min.js")
    script = '"use strict";\n{\n' + "".join(map(_read, _SCRIPTS)) + "}\n"
    policy = _policy(style, library, script, live=live)
    environment = jinja2.Environment(autoescape=True)
    template = environment.from_string(_read("page.html.j2"))
    html = template.render(
        title=title,
        policy=None if live else policy,
        style=markup(style),
        charts_library=markup(library),
        script=markup(script),
        data=markup(_json({**data, "live": live})),  # `_json` has left no markup in it
    )
    return Page(html, policy)


def _read(name: str) -> str:
    return _FOLDER.joinpath(name).read_text(encoding="utf-8")


def _json(data: Mapping[str, Any]) -> str:
    text = encoded(data).decode()
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _policy(style: str, *scripts: str, live: bool) -> str:
    sources = " ".join(map(_hash, scripts))
    policy = (
        f"default-src 'none'; script-src {sources}; style-src {_hash(style)}; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
    # `frame-ancestors` counts in a header only.
    return f"{policy}; connect-src 'self'; frame-ancestors 'none'" if live else policy


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def write_page(path: str, page: Page) -> None:
    """Write a page to a file.

    Raises:
        CommandError: The file cannot be written.
    """
    try:
        Path(path).write_text(page.html, encoding="utf-8")
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise CommandError(msg) from None


def write_story(path: str, story: dict[str, Any]) -> None:
    """Write the page of one story to a file."""
    page = render(f"Story {story['trace_id']}", {"story": embedded_story(story)})
    write_page(path, page)


def shortened(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - JSON
    """Cut the texts in a value, with how much is left out; deep values become text."""
    if isinstance(value, dict | list) and depth > _DEEPEST:
        value = text_of(value)
    if isinstance(value, str):
        return cut_text(value)
    if isinstance(value, dict):
        return {shortened(key): shortened(part, depth + 1) for key, part in value.items()}
    if isinstance(value, list):
        return [shortened(part, depth + 1) for part in value]
    return value


def embedded_story(story: dict[str, Any]) -> dict[str, Any]:
    """Cut a story to the size that a page can show; its lines are JSON that is not parsed yet."""
    lines = story["lines"]
    left_out = max(len(lines) - MOST_LINES, 0)
    shown = {**story, "lines": lines[:MOST_LINES], "left_out": left_out}
    return shortened(orjson.loads(encoded(shown)))  # type: ignore[no-any-return]
