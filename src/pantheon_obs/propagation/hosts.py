"""The hosts that a trace may go out to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from pantheon_obs.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

# A host name, with or without `*.` in front, or an IPv6 address as URLs have it; then a port.
_pattern = re.compile(
    r"((?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
).fullmatch


class Hosts(NamedTuple):
    """An allow-list.

    Attributes:
        exact: Whole names.
        suffixes: What the others end in, from the dot on.
    """

    exact: frozenset[str]
    suffixes: tuple[str, ...]

    def allow(self, host: str) -> bool:
        """Whether a host is on the list.

        Args:
            host: As the URL has it, without its port; in Punycode if it is not ASCII.
        """
        host = host.lower().rstrip(".")
        return host in self.exact or host.endswith(self.suffixes)


def allow_list(patterns: Iterable[str] | None) -> Hosts | None:
    """Read the argument `hosts`.

    Args:
        patterns: `"api.internal"` or `"*.example.com"`, which is all below that name at any depth
            but not the name itself; None for all hosts.

    Returns:
        The list, or None for all hosts.

    Raises:
        ConfigError: One is no such pattern; the message names it.
    """
    if patterns is None:
        return None
    given = [patterns] if isinstance(patterns, str) else patterns
    try:
        names = [_name(pattern) for pattern in given]
    except TypeError:
        raise _refused(patterns) from None
    return Hosts(
        frozenset(name for name in names if name[0] != "*"),
        tuple(sorted({name[1:] for name in names if name[0] == "*"})),
    )


def _name(pattern: object) -> str:
    """A pattern in lower case, without its port, and in the ASCII form that clients send."""
    try:
        match = _pattern(str.encode(pattern, "idna").decode().lower())  # type: ignore[arg-type]
    except (TypeError, UnicodeError):
        match = None
    if match is None:
        raise _refused(pattern)
    return match[1].rstrip(".").strip("[]")


def _refused(value: object) -> ConfigError:
    msg = (
        f"hosts: {value!r:.200} is not accepted: use names of hosts such as 'api.internal', "
        "'*.example.com' or '[::1]', or hosts=None for all"
    )
    return ConfigError(msg)
