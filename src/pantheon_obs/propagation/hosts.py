"""Read and apply an allow-list of hosts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from pantheon_obs.core.errors import refuse

if TYPE_CHECKING:
    from collections.abc import Iterable

_ACCEPTED = "host names such as 'api.internal', '*.example.com' or '[::1]', or None for all"
# A host name, with or without `*.` in front, or an IPv6 address as in a URL; then a port.
_PATTERN = r"((?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"


class Hosts(NamedTuple):
    """An allow-list: whole names, and the ends of names from the dot on."""

    exact: frozenset[str]
    suffixes: tuple[str, ...]

    def allow(self, host: str) -> bool:
        """Whether a host, as the URL has it without its port, in ASCII, is on the list."""
        host = host.lower().rstrip(".")
        return host in self.exact or host.endswith(self.suffixes)


def allow_list(patterns: Iterable[str] | None) -> Hosts | None:
    """Read the argument `hosts`: `*.example.com` stands for all names below `example.com`."""
    if patterns is None:
        return None
    given = [patterns] if isinstance(patterns, str) else patterns
    try:
        names = [_name(pattern) for pattern in given]
    except TypeError:
        refuse("hosts", patterns, _ACCEPTED)
    return Hosts(
        frozenset(name for name in names if name[0] != "*"),
        tuple(sorted({name[1:] for name in names if name[0] == "*"})),
    )


def _name(pattern: object) -> str:
    """Normalise a pattern: lower case, without its port, in the ASCII form that clients send."""
    try:
        ascii_name = str.encode(pattern, "idna").decode().lower()  # type: ignore[arg-type]
        match = re.fullmatch(_PATTERN, ascii_name)
    except (TypeError, UnicodeError):
        match = None
    if match is None:
        refuse("hosts", pattern, _ACCEPTED)
    return match[1].rstrip(".").strip("[]")
