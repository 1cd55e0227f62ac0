"""Patterns that are compiled at their first use."""

from __future__ import annotations

import re
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Without a bound: all of them are the library's own. Nothing is imported at the first use, which
# may be in a signal handler or in a forked child.
compiled = cache(re.compile)
"""Compiles a pattern at its first use: compiling all of them takes longer than an import."""


class Pattern:
    """Like a compiled pattern. Most applications never need most of them.

    Patterns that most texts need are compiled at import instead: this takes a call more.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def match(self, text: str, start: int = 0) -> re.Match[str] | None:
        """Match at a place."""
        return compiled(self._pattern).match(text, start)

    def fullmatch(self, text: str) -> re.Match[str] | None:
        """Match the whole text."""
        return compiled(self._pattern).fullmatch(text)

    def search(self, text: str, start: int = 0) -> re.Match[str] | None:
        """Find the first match from a place on."""
        return compiled(self._pattern).search(text, start)

    def finditer(
        self, text: str, start: int = 0, end: int = sys.maxsize
    ) -> Iterator[re.Match[str]]:
        """Find all matches between two places, one after the other."""
        return compiled(self._pattern).finditer(text, start, end)
