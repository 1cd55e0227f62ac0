"""Read Sentry's options without importing the SDK: the DSN, and the names of all others."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.names import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pantheon_obs.core.settings import Settings

_CONSTRUCTOR = "ClientConstructor"  # the SDK's list of its options


def dsn_of(settings: Settings) -> str | None:
    """Return the DSN, which may be among Sentry's own options; None for a blank one."""
    options = settings.sentry_options or {}
    dsn = options.get("dsn", settings.sentry_dsn)
    return (str(dsn).strip() or None) if dsn is not None else None


def refuse_unknown(names: Collection[str], others: Iterable[str] = ()) -> None:
    """Raise `ConfigError` for a name that is no option of `sentry_sdk.init`.

    `others` are names that would be accepted, too.
    """
    known = _names() if names else frozenset()
    for name in names:
        if known and name not in known:
            meant = nearest(name, (*others, *known))
            hint = "see its documentation" if meant is None else f"did you mean {meant!r}?"
            msg = f"{name!r} is no option of sentry_sdk.init: {hint}"
            raise ConfigError(msg)


def _names() -> frozenset[str]:
    """Read the names from the SDK's source, as it is not imported without a DSN."""
    from importlib.util import find_spec  # noqa: PLC0415 - for options alone
    from pathlib import Path  # noqa: PLC0415 - as above

    spec = find_spec("sentry_sdk")
    if spec is None or spec.submodule_search_locations is None:
        return frozenset()
    source = Path(spec.submodule_search_locations[0], "consts.py").read_bytes()
    constructor = next(
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef) and node.name == _CONSTRUCTOR
    )
    arguments = (node for node in ast.walk(constructor) if isinstance(node, ast.arg))
    return frozenset(argument.arg for argument in arguments) - {"self"}
