"""Trace ids as people have them: whole, cut, in a `traceparent`, or in a line they have copied."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import orjson

from pantheon_obs.cli.reading.wrappers import Unwrapper
from pantheon_obs.core.trace_id import ACCEPTED, parse_traceparent, validate

SHORTEST = 8  # characters of a prefix

_NODE = 12  # hex digits of a UUID's last group
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_NIL = "00000000-0000-0000-0000-000000000000"
_HEX = re.compile(r"[0-9a-f-]+").fullmatch
_ALL_HEX = re.compile(r"[0-9a-f]{32}").fullmatch
_TRACEPARENT = re.compile(r"(?<![0-9a-f-])[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\S*")
# In a line that is cut or escaped, in console and text format, and in a header.
_NAMED = re.compile(
    r"""(?:trace_id|x-trace-id|x-request-id)(?:\\*["'])?\s*[:=]\s*(?:\\*["'])?([A-Za-z0-9._:-]{1,128})""",
    re.IGNORECASE,
)
_IN_TEXT_FORMAT = re.compile(r"^\S+ \S+ [A-Z]+ +\S+ \[([A-Za-z0-9._:-]{1,128})\] ")


def canonical(trace_id: str) -> str:
    """Return the form in which ids of one trace are equal: small hex digits, a UUID's undashed."""
    small = trace_id.lower()
    if _UUID(small):
        return small.replace("-", "")
    return small if _HEX(small) else trace_id


class Wanted(NamedTuple):
    """The trace that was asked for.

    Attributes:
        text: The id or prefix, as a person has given it.
        key: Its canonical form, if it is a whole id.
        start: How the canonical form of an id begins, if it is a prefix.
        needle: Found in each line of the trace, and in few others.
    """

    text: str
    key: str
    start: str
    needle: re.Pattern[bytes]

    def begins(self, trace_id: str) -> bool:
        """Whether an id begins with the prefix."""
        is_start = canonical(trace_id).startswith(self.start) or trace_id.startswith(self.text)
        return is_start and len(self.text) >= SHORTEST


def wanted(what: str) -> Wanted | None:
    """Read an id, its beginning, a `traceparent`, or a log line that has an id; None for others."""
    text = what.strip().strip("\"',")  # as it is copied from JSON
    fields = _fields_of(text)
    found = _id_in_text(text) if fields is None else fields.get("trace_id")
    if not isinstance(found, str) or not found:
        return None
    key = canonical(found)
    is_uuid_start = _UUID(key + _NIL[len(key) :])
    start = key.replace("-", "") if is_uuid_start else key
    return Wanted(found, key, start, _needle(start))


def not_accepted(what: str) -> str:
    """Make the error message, which names the accepted forms."""
    return (
        f"{what[:80]!r} is not accepted: use a trace id ({ACCEPTED}), its first {SHORTEST} or more "
        f"characters, a traceparent, or a log line that has a trace_id"
    )


def _fields_of(text: str) -> dict[str, Any] | None:
    """Return the fields of a whole log line, which may be wrapped; None if it is no JSON object."""
    joined = Unwrapper().feed("", 0, text.encode("utf-8", "replace"))
    if joined is None or not joined.text.startswith(b"{"):
        return None
    try:
        fields: dict[str, Any] = orjson.loads(joined.text)
    except orjson.JSONDecodeError:
        return None
    return fields


def _id_in_text(text: str) -> str | None:
    """Return the id that a text is, or has."""
    if match := _TRACEPARENT.search(text):
        return parse_traceparent(match[0].encode("utf-8", "replace"))
    if found := validate(text.encode("utf-8", "replace")):
        return found
    match = _NAMED.search(text) or _IN_TEXT_FORMAT.search(text)
    return match[1] if match else None


def _needle(key: str) -> re.Pattern[bytes]:
    """Make the pattern that is searched for in blocks of bytes."""
    if _ALL_HEX(key):
        # The last group of a UUID is the longest piece that stands undivided in both forms.
        return _fast(key[-_NODE:])
    if _HEX(key):
        return _fast(key[:SHORTEST])
    return re.compile(re.escape(key.encode()))


def _fast(digits: str) -> re.Pattern[bytes]:
    """Search hex digits of any case.

    A pattern that begins with decimal digits is searched many times faster, so it begins with the
    longest run of them; six digits are always left.
    """
    runs = {
        start: len(digits[start:]) - len(digits[start:].lstrip("0123456789"))
        for start in range(max(1, len(digits) - 5))
    }
    begin = max(runs, key=lambda start: runs[start])
    return re.compile(re.escape(digits[begin:].encode()), re.IGNORECASE)
