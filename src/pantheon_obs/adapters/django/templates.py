"""The template of a route, from the text that Django joins of `path`, `re_path` and `include`."""

from __future__ import annotations

import re
from functools import lru_cache

_ESCAPE = r"\\."
_CLASS = r"\[\^?\]?(?:\\.|[^\]\\])*\]"
_TOKEN = re.compile(
    rf"{_ESCAPE}|{_CLASS}|\(\?P<(?P<name>\w+)>|\(\?|[()^$?]|[^\\\[()^$?]+|.", re.DOTALL
)
_ANCHORS = frozenset({r"\A", r"\Z", r"\z", r"\b", r"\B"})


@lru_cache(1024)
def template_of_pattern(route: str) -> str:
    """Make `api/users/<pk>/` of `^api/users/(?P<pk>[^/.]+)/$`; a route of `path` stays as it is."""
    if not (route.startswith("^") or route.endswith("$") or "(?P<" in route):
        return route
    parts: list[str] = []
    depth = 0
    for token in _TOKEN.finditer(route):
        text = token.group()
        if text.startswith("("):
            if depth == 0 and text != "(?":
                parts.append(f"<{token['name'] or 'var'}>")
            depth += 1
        elif text == ")":
            depth -= 1
        elif depth == 0 and text not in _ANCHORS and text not in "^$?":
            is_literal = text[0] == "\\" and not text[1:].isalnum()
            parts.append(text[1:] if is_literal else text)
    return "".join(parts)
