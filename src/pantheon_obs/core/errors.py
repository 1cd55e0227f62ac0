"""Errors that the library raises; no other error of its own reaches the application."""

from __future__ import annotations

import re
from typing import Final, NoReturn

_CREDENTIALS = re.compile(r"//[^/?#\s]*@")
_LONGEST = 80  # characters


class ObsError(Exception):
    """Base class of every error raised by pantheon-obs."""


class ConfigError(ObsError, ValueError):
    """An argument is wrong; the message names it, its value and the accepted values."""


class MissingExtraError(ObsError, ImportError):
    """A feature was asked for explicitly, but the package it needs is not installed."""


class _Secret:
    def __repr__(self) -> str:
        return "***"


SECRET: Final = _Secret()
"""Stands in a message for a value that may hold a password."""


def refuse(name: str, value: object, accepted: str) -> NoReturn:
    """Raise the error for a refused argument: `name=value is not accepted: use accepted`.

    Args:
        name: The argument's name.
        value: Its value, or `SECRET`.
        accepted: The accepted values.

    Raises:
        ConfigError: Always.
    """
    raise ConfigError(refusal(name, value, accepted)) from None


def refusal(name: str, value: object, accepted: str) -> str:
    """Return the text of that error."""
    return f"{name}={shown(value)} is not accepted: use {accepted}"


def shown(value: object) -> str:
    """Show a value in a message: cut, printable, and without the credentials of a URL."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a broken __repr__ must not replace the message
        text = f"<{type(value).__name__}>"
    return _CREDENTIALS.sub("//***@", text)[:_LONGEST]
