"""Trace IDs: make one, validate one, parse a `traceparent`. Pure functions.

An inbound id is 1 to 128 characters of `[A-Za-z0-9._:-]`: UUIDs, ULIDs, the ids of proxies and of
load balancers all pass, and nothing that could forge a log line or a header does.
"""

from __future__ import annotations

import logging
import re
from os import urandom
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LENGTH = 128
ACCEPTED = f"1 to {MAX_LENGTH} characters of [A-Za-z0-9._:-]"

PATTERN = f"[A-Za-z0-9._:-]{{1,{MAX_LENGTH}}}"

_valid = re.compile(PATTERN.encode()).fullmatch
# https://www.w3.org/TR/trace-context-2/#traceparent-header
_traceparent = re.compile(
    rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
).fullmatch
_is_hex_or_uuid = re.compile(
    "[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE
).fullmatch
_NO_TRACE = b"0" * 32
_NO_SPAN = b"0" * 16
# The first digit of the fourth group carries the variant, binary 10xx: keep its low two bits.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def generate() -> str:
    """Make a random id in the form of `str(uuid.uuid4())` (RFC 9562, version 4)."""
    # Half the time of uuid.uuid4(), and uuid need not be imported.
    h = urandom(16).hex()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{_VARIANT[h[16]]}{h[17:20]}-{h[20:]}"


def validate(raw: bytes) -> str | None:
    """Return an inbound id exactly as it was sent, or None if it is refused."""
    return raw.decode("ascii") if _valid(raw) else None


def made_by(source: str, made: object) -> str:
    """Return an id that a function of others has made; raise ValueError if it is refused."""
    accepted = validate(str.encode(made)) if isinstance(made, str) else None
    if accepted is None:
        msg = f"{source} returned {made!r:.200}, which is not {ACCEPTED}"
        raise ValueError(msg)
    return accepted


def split_traceparent(raw: bytes) -> tuple[str, str, str] | None:
    """Return the hex digits of trace, span and flags of a W3C `traceparent`; None if it is invalid.

    Level 1 and level 2 of the recommendation are read strictly.
    """
    match = _traceparent(raw)
    if match is None:
        return None
    version, trace, span, flags, tail = match.groups()
    # Version ff is forbidden; only versions later than 00 may append anything.
    if version == b"ff" or (version == b"00" and tail is not None):
        return None
    if trace == _NO_TRACE or span == _NO_SPAN:
        return None
    return trace.decode("ascii"), span.decode("ascii"), flags.decode("ascii")


def parse_traceparent(raw: bytes) -> str | None:
    """Return the 32 hex digits of the trace-id in a W3C `traceparent`, or None if it is invalid."""
    parts = split_traceparent(raw)
    return None if parts is None else parts[0]


def to_hex(trace_id: str) -> str | None:
    """The 32 small hex digits that an id stands for; None if it is neither that nor a UUID."""
    if _is_hex_or_uuid(trace_id) is None:
        return None
    digits = trace_id.replace("-", "").lower()
    return None if digits == _NO_TRACE.decode() else digits


def to_uuid(digits: str) -> str:
    """32 hex digits in the form of a UUID, which is the form of our own ids."""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def parser_for(header: str) -> Callable[[bytes], str | None]:
    """Return the function that reads an id from the header of this name (any case)."""
    return parse_traceparent if header.lower() == "traceparent" else validate


def refused(source: str) -> None:
    """Log one DEBUG line that a header, or a function, has brought a refused id: not its value."""
    logging.getLogger("pantheon_obs.request").debug("trace_id_refused", extra={"source": source})
