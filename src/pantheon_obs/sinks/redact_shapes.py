"""Patterns of secrets inside a string: bearer tokens, URLs with credentials, providers' keys."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

REDACTED = "[redacted]"

_KEY = (
    r"(?i:pass(?:word|wd|phrase)|pwd|secret|(?:api|access|private|signing)[_-]?key"
    r"|(?:access|refresh|auth|id|session|csrf|xsrf)[_-]?token)"
)
_QUOTED = r"\"[^\"\\]*(?:\\.[^\"\\]*)*\"?|'[^'\\]*(?:\\.[^'\\]*)*'?"


class Secret(NamedTuple):
    """A secret that can be recognised inside a string.

    No pattern may take more than linear time, as strings come from outside: none begins with, or
    repeats, a part that it could also match somewhat later.

    Attributes:
        needles: Every string that the pattern matches contains one of these; to find none is fast.
        pattern: The regular expression.
        into: The replacement.
    """

    needles: tuple[str, ...]
    pattern: str
    into: str


SECRETS = tuple(
    Secret(tuple(needles.split()), pattern, into)
    for needles, pattern, into in (
        (  # Not every word after "basic": a credential has more than small letters in it.
            "earer EARER asic ASIC",
            r"\b((?i:bearer|basic)\s+)(?=.[a-z]*[A-Z0-9+/=_~-]|[a-z]{20})[A-Za-z0-9._~+/=-]{8,}",
            rf"\1{REDACTED}",
        ),
        ("://", r"://[^/?#\s'\"]*@", f"://{REDACTED}@"),
        (
            "= %3",
            rf"({_KEY}(?:=|%3[Dd]))(?:{_QUOTED}|[^\s&'\",;)\]}}]+)",
            rf"\1{REDACTED}",
        ),
        (  # JSON, or a dict's repr, in a message.
            "\": ':",
            rf"({_KEY}[\"']:\s*)(?:{_QUOTED}|[^\s,}}\]\"']+)",
            rf'\1"{REDACTED}"',
        ),
        # Keys of providers: OpenAI, Anthropic, OpenRouter, Stripe; AWS; Google; GitHub; GitLab;
        # Slack; Hugging Face; Groq. Then JSON web tokens and PEM blocks.
        ("sk- sk_ rk- rk_", r"\b[sr]k[-_][A-Za-z0-9_-]{16,}", REDACTED),
        ("AKIA ASIA", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", REDACTED),
        ("AIza", r"\bAIza[0-9A-Za-z_-]{35}", REDACTED),
        ("gh", r"\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{20,}", REDACTED),
        ("glpat", r"\bglpat-[A-Za-z0-9_-]{20,}", REDACTED),
        ("xox", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}", REDACTED),
        ("hf_ gsk_", r"\b(?:hf|gsk)_[A-Za-z0-9]{20,}", REDACTED),
        (
            "eyJ",
            r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
            REDACTED,
        ),
        (
            "PRIVATE",
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
            REDACTED,
        ),
    )
)
compiled = cache(re.compile)
"""Compiles a pattern at its first use: compiling all of them takes longer than an import."""

any_needle = re.compile(
    "|".join(re.escape(needle) for secret in SECRETS for needle in secret.needles)
).search
"""Finds a needle of any secret."""
