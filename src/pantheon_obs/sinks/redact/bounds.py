"""How much of a value is searched and shown, as both take their time."""

from __future__ import annotations

from typing import Any, NamedTuple

SHOWN = 64 * 1024
"""So many bytes at most stay of a value that is too long for its line."""

OVERLAP = 4096
"""So many characters beyond a cut are searched too: a secret may lie across it."""

LEAST = 2
"""So many bytes has an item at least: a digit and a comma."""

PLACES = 4096
"""At so many places of a value at most a secret is looked for; it is cut behind them."""

_SHARE, _LEAST_SHOWN, _LEAST_PLACES = 15, 16_384, 128


class Limits(NamedTuple):
    """The limits of a value.

    Attributes:
        size: How many characters a text, and how many bytes a structure, may have.
        shown: How much is shown of one that is larger.
        places: At how many places a secret is looked for in it.
    """

    size: int
    shown: int
    places: int


def limits_of(size: int) -> Limits:
    """Find the limits of a value that may have this size."""
    return Limits(size, shown_of(size + 1, size), places_of(size))


def shown_of(size: int, limit: int) -> int:
    """Return how much of a text is searched and shown that is longer than the limit."""
    most = size if size <= SHOWN else max(size // _SHARE - OVERLAP, _LEAST_SHOWN)
    return min(limit, SHOWN, most)


def places_of(size: int) -> int:
    """Return at how many places a secret is looked for in a text that is cut anyway."""
    return min(max(size // 8192, _LEAST_PLACES), PLACES)


class Walk(list[int]):
    """A walk through a value: the ids of the containers around, and how much may follow.

    Args:
        value: The value.
        limits: Its limits. They are fewer bytes than the line's limit: a value within the limit
            of a line is read whole.

    Attributes:
        left: How many bytes may follow, at first as many as if the value did not fit.
        places: At how many places a secret may be looked for, likewise.
    """

    def __init__(self, value: object, limits: Limits) -> None:
        # Each item of a container takes its time too.
        self.left = limits.shown if type(value) is str else limits.shown // 2
        self.places = limits.places
        self._value = value
        self._limits = limits
        self._rest = limits.size - self.left
        self._is_asked = False

    def is_over(self) -> bool:
        """Whether no more may follow."""
        self._ask()
        return self.left <= 0

    def room(self, size: int) -> int:
        """Return how many characters of a text of this size may follow."""
        if size > self.left:
            self._ask()
        return max(self.left, 0)

    def places_in_text(self) -> int:
        """Return at how many places of a text a secret may be looked for."""
        self._ask()
        return max(self.places, 0)

    def look(self, places: int) -> None:
        """Note that there were so many places where a secret may be; the walk ends behind many."""
        self.places -= places
        if self.places <= 0:
            self._ask()
            if self.places <= 0:
                self.left = 0

    def _ask(self) -> None:
        """Allow as much as a value may have that does not exceed the limit, if it does not."""
        limits = self._limits
        if not self._is_asked and not _is_larger(self._value, limits.size):
            self.left += self._rest
            self.places += PLACES - limits.places
        self._is_asked = True


def _is_larger(value: object, limit: int) -> bool:
    """Whether a value takes more bytes than a limit as JSON, at the very least."""
    left = limit
    waiting: list[Any] = [[value]]
    while waiting:
        container = waiting.pop()
        is_mapping = type(container) is dict
        left -= LEAST * len(container) * (1 + is_mapping) + 1
        if left < 0:
            return True
        items = [*container]  # at once: another thread may change it meanwhile
        if is_mapping:
            items += container.values()
        for item in items:
            kind = type(item)
            if kind is str:
                left -= len(item) + 1
            elif kind is int:
                left -= (item.bit_length() * 3 - 3) // 10  # the digits but the first
            elif kind is dict or kind is list or kind is tuple:
                waiting.append(item)
            if left < 0:
                return True
    return False
