"""Keep a line within its limit of bytes: the longest values are cut, and say how much is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from pantheon_obs.sinks.logs.formats import Format

_HEAD = frozenset({"timestamp", "level", "logger", "trace_id"})
_MARKER_BYTES = 64


def fit(line: dict[str, Any], render: Format, limit: int) -> bytes:
    """Render a line in at most `limit` bytes.

    Args:
        line: The line's dict; it is changed.
        render: The format.
        limit: Bytes.

    Returns:
        The bytes to write. A cut value ends in a marker with the bytes cut, a traceback keeps its
        end and begins with the marker.
    """
    rendered = render(line)
    whole: dict[str, bytes] = {}
    kept: dict[str, int] = {}
    while len(rendered) > limit:
        if not whole:
            whole = {key: _as_bytes(line[key]) for key in line if key not in _HEAD}
            kept = {key: len(value) for key, value in whole.items()}
        longest = max(kept, key=kept.__getitem__)
        if kept[longest] <= _MARKER_BYTES:
            # Not one long value but very many: say what it was and how much was left out.
            head = {key: line[key] for key in line if key in _HEAD}
            return render({**head, "event": "line_cut", "fields_cut": len(whole)})
        # A character takes one byte or more in the line, so this much less is enough or more.
        kept[longest] = max(0, kept[longest] - (len(rendered) - limit) - _MARKER_BYTES)
        line[longest] = _cut(whole[longest], kept[longest], from_start=longest == "exception")
        rendered = render(line)
    return rendered


def _as_bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace")
    return orjson.dumps(value)


def _cut(whole: bytes, keep: int, *, from_start: bool) -> str:
    marker = f"[{len(whole) - keep} bytes cut]"
    kept = whole[len(whole) - keep :] if from_start else whole[:keep]
    text = kept.decode("utf-8", "ignore")
    return marker + text if from_start else text + marker
