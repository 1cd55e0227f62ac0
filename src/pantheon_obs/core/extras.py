"""Optional packages: import them where they are used, and say exactly what to install."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pantheon_obs.core.errors import MissingExtraError

if TYPE_CHECKING:
    from types import ModuleType


def require(package: str, *, extra: str | None, feature: str) -> ModuleType:
    """Import an optional package that the host asked for.

    Args:
        package: Import name, for example `sentry_sdk`.
        extra: The extra of pantheon-obs that installs it; None for a client that is the host's own.
        feature: What needs it, in the words of the host's developer.

    Returns:
        The imported module.

    Raises:
        MissingExtraError: The package is not installed.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        # A package that is there but lacks a dependency of its own is a different failure.
        if error.name is None or error.name.partition(".")[0] != package.partition(".")[0]:
            raise
        wanted = f"'pantheon-obs[{extra}]'" if extra else package.partition(".")[0]
        msg = (
            f"{feature} needs the package {package!r}, which is not installed: pip install {wanted}"
        )
        raise MissingExtraError(msg, name=package) from None
