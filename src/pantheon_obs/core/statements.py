"""The text of a database statement as a log line may show it: short, without values."""

from __future__ import annotations

import re

_MOST_READ = 4000  # characters
_MOST_SHOWN = 200
_QUOTE_STRINGS_TWICE = frozenset({"mysql", "mariadb"})  # systems

# Names and placeholders stay, comments and literals do not. A text with a backslash before a quote
# ends at another place in MySQL than in standard SQL: all that follows is left out, as it is after
# a literal without an end.
_TOKENS = re.compile(
    r"""
    (?P<comment> --[^\n]*+ | /\*.*?(?:\*/|\Z) )
    | (?P<dollar> \$(?:[^\W\d]\w*)?\$ ).*?(?P=dollar)
    | (?P<name> `[^`]*+` | [^\W\d][\w$]*+ | [$:@]\d++ | : )
    | "(?P<quoted> (?:[^"\\]|""|\\[^"\\])*+ )"(?!")
    | '(?:[^'\\]|''|\\[^'\\])*+'(?!')
    | ['"`\\].* | \$.*
    | \d[\w.]*+
    """,
    re.DOTALL | re.VERBOSE,
)
_SPACES = re.compile(r"\s+")


def readable(statement: str, system: str = "") -> str:
    """Replace the literals of a statement with `?`, and cut it to 200 characters."""
    keep_quoted = system not in _QUOTE_STRINGS_TWICE

    def replaced(token: re.Match[str]) -> str:
        if token["name"] is not None or (keep_quoted and token["quoted"] is not None):
            return token[0]
        return "?" if token["comment"] is None else " "

    return _SPACES.sub(" ", _TOKENS.sub(replaced, statement[:_MOST_READ])).strip()[:_MOST_SHOWN]
