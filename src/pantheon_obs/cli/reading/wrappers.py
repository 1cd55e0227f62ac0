r"""Remove the wrapping of container engines and syslog, and join the parts of a line.

- Docker's json-file driver: `{"log":"…\n","stream":"stdout","time":"…"}`; a part that another part
  follows has no newline in `log` (https://docs.docker.com/engine/logging/drivers/json-file/).
- The CRI: `2026-11-29T21:41:07.1Z stdout F …`; the tag is P for a part that another part follows
  (https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md).
- `docker compose logs`: `web-1  | …`, in colors on a terminal; with `-t` a time in front of the
  line, as `docker logs -t` has it, too.
- `kubectl logs --prefix`: `[pod/shop-1/web] …`; stern: `shop-1 web …`.
- syslog as RFC 5424 and RFC 3164 have it, and as journald and rsyslog print it.
- `journalctl -o json`: `{"MESSAGE":"…",…}`; a text that is no UTF-8 is a list of bytes, and a part
  of a long line has `"_LINE_BREAK":"line-max"` (https://systemd.io/JOURNAL_EXPORT_FORMATS/).
"""

from __future__ import annotations

import re
from typing import NamedTuple

import orjson

from pantheon_obs.cli.reading.blocks import LONGEST

_TIME = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)"
_CRI = re.compile(rb"%b (stdout|stderr) ([FP])(?::\S*)? (.*)" % _TIME, re.DOTALL).fullmatch
_WHOLE = re.compile(rb'\\n"\s*,\s*"stream"').findall
JOURNAL = b'"__REALTIME_TIMESTAMP":'
_COLOR = re.compile(rb"\x1b\[[0-9;]*m")
_PREFIX = re.compile(
    rb"(?:[\w][\w.-]*\s*\| )?"  # docker compose
    rb"(?:\[\S+\] |(?:[a-z0-9][a-z0-9.-]* ){2,3}(?=\{))?"  # kubectl logs --prefix; stern
    rb"(?:%b )?"  # docker logs -t, kubectl logs --timestamps
    rb"(?:"
    rb"(?:<\d{1,3}>)?(?:%b|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (?:\S+ )?[^\s\[:]+(?:\[\d*\])?: ?"
    rb"|<\d{1,3}>1 (?:%b|-) \S+ \S+ \S+ \S+ "
    rb'(?:-|(?:\[(?:[^\]"\\]|\\.|"(?:[^"\\]|\\.)*")*\])+) (?:\xef\xbb\xbf)?'
    rb")?(?:@cee: ?)?(?=\{)" % (_TIME, _TIME, _TIME)
).match
_BOM = b"\xef\xbb\xbf"


class Joined(NamedTuple):
    """A line without its wrapping, and the number of its first part."""

    file: str
    number: int
    text: bytes


class Unwrapper:
    """Unwrap the lines of one log; the parts of a line may stand in two rotated files."""

    def __init__(self) -> None:
        # The parts of stdout and stderr alternate within one file.
        self._parts: dict[str, tuple[str, int, bytearray]] = {}

    def waits(self) -> bool:
        """Whether a line is begun whose last part has not come."""
        return bool(self._parts)

    def feed(self, file: str, number: int, line: bytes) -> Joined | None:
        """Return the line without its wrapping; None if it is a part that another one follows."""
        stream, text, is_part = _unwrap(line)
        if stream is None or not (is_part or stream in self._parts):
            return Joined(file, number, _without_prefix(text))
        *_, begun = self._parts.setdefault(stream, (file, number, bytearray()))
        if len(begun) < LONGEST:  # else the other parts are left out, and the line ends torn
            begun += text
        return None if is_part else self._joined(stream)

    def end(self) -> list[Joined]:
        """Return the lines whose last parts never came."""
        return [self._joined(stream) for stream in sorted(self._parts)]

    def _joined(self, stream: str) -> Joined:
        file, number, text = self._parts.pop(stream)
        return Joined(file, number, _without_prefix(bytes(text)))


def has_parts(block: bytes) -> bool:
    """Whether a block may contain parts of lines; a search of its bytes would miss a split id."""
    if b" stdout P" in block or b" stderr P" in block:
        return True
    if b'"MESSAGE":[' in block or b'"_LINE_BREAK":"line-max"' in block:
        return True
    # Within `log` the quotes of a key are escaped.
    return b'{"log"' in block and block.count(b'"stream"') != len(_WHOLE(block))


def has(block: bytes, part: bytes) -> bool:
    """Whether a part stands in a large block: Python searches backwards three times as fast."""
    return part[:1] in block and block.rfind(part) >= 0


def _unwrap(line: bytes) -> tuple[str | None, bytes, bool]:
    """Return the stream that a container engine names, the text, and whether it is a part."""
    if line.startswith(b'{"log"'):
        try:
            wrapping = orjson.loads(line)
        except orjson.JSONDecodeError:
            return None, line, False
        text, stream = wrapping["log"], wrapping.get("stream")
        if isinstance(text, str) and isinstance(stream, str):
            return stream, text.removesuffix("\n").encode(), not text.endswith("\n")
    elif line.startswith(b"{"):
        return _unwrap_journal(line) if JOURNAL in line else (None, line, False)
    elif match := _CRI(line):
        return match[1].decode(), match[3], match[2] == b"P"
    return None, line, False


def _unwrap_journal(line: bytes) -> tuple[str | None, bytes, bool]:
    try:
        entry = orjson.loads(line)
        text = entry["MESSAGE"]
        raw = text.encode() if isinstance(text, str) else bytes(text)
    except (ValueError, KeyError, TypeError):
        return None, line, False
    return str(entry.get("_STREAM_ID")), raw, entry.get("_LINE_BREAK") == "line-max"


def _without_prefix(line: bytes) -> bytes:
    """Take off the prefixes of compose, of times and of syslog."""
    text = _COLOR.sub(b"", line) if b"\x1b[" in line[:256] else line
    text = text.removeprefix(_BOM).strip()
    if text[:1] in (b"{", b""):
        return text
    match = _PREFIX(text)
    return text[match.end() :] if match else text
