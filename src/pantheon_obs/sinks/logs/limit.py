"""Keep a line within its limit of bytes: cut the longest values, and mark how much was cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from pantheon_obs.sinks.logs.formats import Format

_HEAD = frozenset({"timestamp", "level", "logger", "trace_id"})
_MARKER = 32
_NAME = 200


def fit(line: dict[str, Any], rendered: bytes, render: Format, limit: int) -> bytes:
    """Render a line, which is longer than the limit of bytes, with its longest values cut.

    A cut value ends in a marker with the number of bytes cut; a traceback keeps its end and begins
    with the marker. The dict of the line is changed.
    """
    whole = {key: _as_bytes(line[key]) for key in line if key not in _HEAD}
    kept = {key: len(value) for key, value in whole.items()}
    while len(rendered) > limit:
        longest = max(kept, key=kept.__getitem__)
        if kept[longest] <= _MARKER:
            line["event"] = whole["event"].decode()
            return render(_without_fields(line, len(whole) - 1))
        # In proportion, as one byte of a value may be several of the line: "\0" is "\\u0000".
        kept[longest] = max(0, kept[longest] * limit // len(rendered) - _MARKER)
        line[longest] = _cut(whole[longest], kept[longest], from_start=longest == "exception")
        rendered = render(line)
    return rendered


def _as_bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace")
    return orjson.dumps(value, default=str)


def _cut(whole: bytes, keep: int, *, from_start: bool) -> str:
    marker = f"[{len(whole) - keep} bytes cut]"
    kept = whole[len(whole) - keep :] if from_start else whole[:keep]
    text = kept.decode("utf-8", "ignore")
    return marker + text if from_start else text + marker


def _without_fields(line: dict[str, Any], fields: int) -> dict[str, Any]:
    """Make a line of an event with very many fields: its name, and how many were left out."""
    head = {key: line[key] for key in line if key in _HEAD}
    head["event"] = "line_cut"
    head["event_cut"] = line["event"][:_NAME]
    head["fields_cut"] = fields
    return {key: head[key] for key in ("timestamp", "level", "event", *head)}
