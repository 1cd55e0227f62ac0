"""The places of secrets in a text: each is a start, an end, and the text that stands for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Iterator

    Span = tuple[int, int, str]

REDACTED = "[redacted]"
CUT = ""
"""Stands for a text that is cut; `replaced` says how much it was."""


def cut_marker(size: int) -> str:
    """Return the text that stands for so many bytes."""
    return f"[{size} bytes cut]"


def size_of(text: str) -> int:
    """Return the number of bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "backslashreplace"))


def united(spans: Iterable[Span]) -> list[Span]:
    """Make one of spans that overlap; the first span's replacement stands for all."""
    result: list[Span] = []
    for start, end, into in sorted(spans, key=lambda span: (span[0], -span[1])):
        if result and start < result[-1][1]:
            first, reached, text = result[-1]
            result[-1] = first, max(reached, end), text
        else:
            result.append((start, end, into))
    return result


def replaced(text: str, spans: Iterable[Span], start: int = 0, end: int | None = None) -> str:
    """Return a text, or the part of it around these spans, with each of them replaced."""
    parts: list[str] = []
    for first, last, into in spans:
        parts += (text[start:first], into or cut_marker(size_of(text[first:last])))
        start = last
    return "".join((*parts, text[start:end]))


def first_values(
    all_found: Iterable[re.Match[str]],
    text: str,
    most: int,
    is_secret: Callable[[re.Match[str]], object] = bool,
) -> Iterator[Span | None]:
    """Find the first values that are secrets among those found; None stands for one that is none.

    The text behind them is cut. Each of these takes longer than a sign, so that half as many are
    looked at.
    """
    for count, found in enumerate(all_found):
        if count == most // 2:
            yield found.start(), len(text), CUT
            break
        yield (*found.span("value"), REDACTED) if is_secret(found) else None


def part_of(text: str, start: int, end: int, spans: Iterable[Span], beyond: tuple[int, int]) -> str:
    """Return a part of a text with its secrets replaced, and markers of the bytes cut around it.

    Args:
        text: The text.
        start: Where the part begins.
        end: Where it ends.
        spans: The spans of the text. The part is shorter if one of them cuts its beginning or end.
        beyond: How many bytes were cut before the text, and behind it.
    """
    inside = [
        (max(first, start), min(last, end), into)
        for first, last, into in spans
        if first < end and last > start
    ]
    if inside and inside[-1][1:] == (end, CUT):
        end = inside.pop()[0]
    if inside and inside[0][2] == CUT:
        start = inside.pop(0)[1]
    sizes = beyond[0] + size_of(text[:start]), beyond[1] + size_of(text[end:])
    around = [cut_marker(size) if size else "" for size in sizes]
    return replaced(text, inside, start, end).join(around)
