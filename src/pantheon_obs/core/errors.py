"""Errors that the library raises; no other error of its own reaches the application."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from types import ModuleType

_CREDENTIALS = re.compile(r"//[^/?#\s]*@")
_LONGEST = 80  # characters


class ObsError(Exception):
    """Base class of every error raised by pantheon-obs."""


class ConfigError(ObsError, ValueError):
    """An argument is wrong; the message names it, its value and the accepted values."""


class MissingExtraError(ObsError, ImportError):
    """A feature was asked for explicitly, but the package it needs is not installed."""


class BudgetExceeded(ObsError):  # noqa: N818 - a state, as in `BudgetExceeded.budget`
    """An LLM call was refused: a `budget(…, refuse=True)` is spent. Nothing was sent.

    Attributes:
        key: The value of the budget's `per` field; None for a budget without one.
        spent: US dollars spent in this window.
        budget: The budget in US dollars.
    """

    def __init__(self, key: str | None, spent: float, budget: float) -> None:
        super().__init__(key, spent, budget)  # the arguments that pickle passes
        self.key = key
        self.spent = spent
        self.budget = budget

    def __str__(self) -> str:
        """Say how much of which budget was spent."""
        whose = "" if self.key is None else f" of {shown(self.key)}"
        return f"the LLM budget{whose} is spent: {self.spent:.9g} of {self.budget:.9g} US dollars"


class _Secret:
    def __repr__(self) -> str:
        return "***"


SECRET: Final = _Secret()
"""Stands in a message for a value that may contain a password."""


def refuse(name: str, value: object, accepted: str) -> NoReturn:
    """Raise `ConfigError` for an argument: `name=value is not accepted: use accepted`."""
    raise ConfigError(refusal(name, value, accepted)) from None


def refuse_unless_text(name: str, value: object, accepted: str) -> None:
    """Refuse an argument that is not a text, or is an empty one."""
    if not isinstance(value, str) or not value:
        refuse(name, value, accepted)


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


def require(
    package: str, *, extra: str | None, feature: str, distribution: str | None = None
) -> ModuleType:
    """Import an optional package that a feature needs, or raise `MissingExtraError`.

    Without an extra it is a library that the application chooses itself; `distribution` is its name
    for pip, if that is another one.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        top = package.partition(".")[0]
        # A package that is installed but lacks a dependency of its own is a different failure.
        if error.name is None or error.name.partition(".")[0] != top:
            raise
        wanted = f"'pantheon-obs[{extra}]'" if extra else distribution or top
        msg = f"{feature} needs the package {package!r}, which is not installed: pip install "
        raise MissingExtraError(msg + wanted, name=package) from None
