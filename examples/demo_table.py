"""Print the demo's table while it runs: a row for each request, and the log lines of some."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import TYPE_CHECKING

from examples.demo_checks import CLIENT_ERROR, SERVER_ERROR, parts_of
from pantheon_obs.core.terminal import wants_colors
from pantheon_obs.sinks.logs.console import console_format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from examples.demo_checks import Exchange, Line

WIDTH = 100
COLUMNS = {"request": 29, "ms": 7, "ttfb": 7, "LLM ms": 7, "cost $": 10}
LAST = "what happened"
WHOLE = 100  # milliseconds from which the table shows no fraction
GREEN, YELLOW, RED, GREY, BOLD = "32", "33", "31", "90", "1"
COLORS = {"info": GREEN, "warning": YELLOW, "error": RED}

_render = console_format(colors=False)


def say(text: str, color: str = "", end: str = "\n") -> None:
    """Print a text and flush it; in colour on a terminal that wants any."""
    if color and sys.stdout.isatty() and wants_colors():
        text = f"\x1b[{color}m{text}\x1b[0m"
    print(text, end=end, flush=True)


def say_head(title: str) -> None:
    """Begin the table of a service."""
    say(f"\n{title}", BOLD)
    cells = [name.rjust(width) for name, width in COLUMNS.items()]
    say("".join(["request".ljust(COLUMNS["request"]), *cells[1:], f"  {LAST}"]), GREY)


def say_row(name: str, what: str, color: str = "", line: Line | None = None) -> None:
    """Print one row, with the figures of a `request_finished` or `task_finished`.

    The last column is cut where it would be wider than the terminal.
    """
    line = line or {}
    cost = line.get("llm_cost_usd")
    figures = [
        *(_milliseconds(line.get(key)) for key in ("latency_ms", "ttfb_ms", "llm_latency_ms")),
        "" if cost is None else f"{cost:.6f}",
    ]
    widths = list(COLUMNS.values())
    cells = [text.rjust(width) for text, width in zip(figures, widths[1:], strict=True)]
    say("".join([name.ljust(widths[0]), *cells, "  "]), end="")
    say(textwrap.shorten(what, WIDTH - sum(widths) - 2, placeholder=" …"), color)


def _milliseconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value >= WHOLE else f"{value:.1f}"


def say_exchange(exchange: Exchange, lines: Sequence[str]) -> None:
    """Print the row of a request, its parts if it is slow, and the log lines that are shown."""
    call = exchange.call
    own = _lines_of(exchange, lines)
    finished = next((line for line in own if line["event"] == "request_finished"), {})
    cut = [line for line in own if line["event"].startswith("llm.") and line["outcome"] != "ok"]
    what = [f"{exchange.status} {finished.get('outcome', '')} {finished.get('error_type', '')}"]
    what += [f"LLM {line['outcome']} {line.get('error_type', '')}" for line in cut]
    if call.sent_id is not None and not call.is_probe:
        what.append("id refused" if call.refused else "id kept")
    if call.event and call.is_probe:
        what.append(call.event)
    color = GREEN
    if cut or exchange.status >= CLIENT_ERROR or finished.get("outcome", "ok") != "ok":
        color = YELLOW
    if exchange.status >= SERVER_ERROR or any(line["outcome"] == "error" for line in cut):
        color = RED
    say_row(call.name, ", ".join(part.strip() for part in what), color, finished)
    if call.slow_part:
        parts = [f"{name} {_milliseconds(spent)}" for name, spent in parts_of(finished).items()]
        say(f"    where the time went, in ms: {', '.join(parts)}", GREY)
    if call.shows:
        say_lines(own)


def _lines_of(exchange: Exchange, lines: Sequence[str]) -> list[Line]:
    """Read the log lines of one request; the checks report those that cannot be read."""
    own = []
    for text in lines:
        if any(trace_id in text for trace_id in exchange.trace_ids):
            try:
                own.append(json.loads(text))
            except ValueError:
                continue
    return [line for line in own if line.get("trace_id") in exchange.trace_ids]


def say_lines(lines: Sequence[Line]) -> None:
    """Print log lines in the console format, wrapped to the width of the table."""
    for line in lines:
        shown = {key: value for key, value in line.items() if key != "request_id"}
        for number, text in enumerate(_render(shown).decode().splitlines()):
            indent = "    " if number == 0 else "  "
            wrapped = textwrap.wrap(
                text,
                WIDTH,
                initial_indent=indent,
                subsequent_indent=f"{indent}    ",
                drop_whitespace=True,
                break_on_hyphens=False,
            )
            for part in wrapped:
                say(part, COLORS.get(line["level"], "") if number == 0 else GREY)
