"""Import optional packages where they are used, and say which package to install."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pantheon_obs.core.errors import MissingExtraError

if TYPE_CHECKING:
    from types import ModuleType


def require(package: str, *, extra: str | None, feature: str) -> ModuleType:
    """Import an optional package that the application asked for.

    Args:
        package: Import name, for example `sentry_sdk`.
        extra: The extra of pantheon-obs that installs it; None for a client library that the
            application chooses itself.
        feature: The name of the feature that needs it, as it is called by the application.

    Returns:
        The imported module.

    Raises:
        MissingExtraError: The package is not installed.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        # A package that is installed but lacks a dependency of its own is a different failure.
        if error.name is None or error.name.partition(".")[0] != package.partition(".")[0]:
            raise
        wanted = f"'pantheon-obs[{extra}]'" if extra else package.partition(".")[0]
        msg = (
            f"{feature} needs the package {package!r}, which is not installed: pip install {wanted}"
        )
        raise MissingExtraError(msg, name=package) from None
