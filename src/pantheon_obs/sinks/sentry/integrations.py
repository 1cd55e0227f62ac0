"""Enable Sentry's integrations of the libraries that the application has imported."""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pantheon_obs.products import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_PACKAGE = "sentry_sdk.integrations"
# They read each request's body before the handler, and send it. Starlite became Litestar.
_READ_BODIES = {"starlite", *(row.name for row in PRODUCTS if not row.sentry_wraps)}
# Integrations that are named otherwise than the module that they patch.
_PATCHED = {
    "boto3": "botocore.client",  # other parts of botocore are imported by `sentry_sdk` itself
    "google_genai": "google.genai",
    "langchain": "langchain_core",
    "openai_agents": "agents.run",
}


def add_integrations(sdk: ModuleType) -> None:
    """Enable, as `sentry_sdk.init` would, each integration of a library that is in use.

    It may be called again, for libraries that were imported since.
    """
    client = sdk.get_client()
    active: dict[str, Any] = client.integrations
    disabled = client.options["disabled_integrations"] or ()
    with _only_those_in_use() as module:
        others = {each.identifier for each in module.iter_default_integrations(False)}  # noqa: FBT003 - as the SDK declares it
        found = module.setup_integrations(
            [],
            with_defaults=True,
            with_auto_enabling_integrations=True,
            disabled_integrations=disabled,
        )
    others.update(active, (each.identifier for each in disabled))  # the SDK disables once only
    for name, integration in found.items():
        if name not in others:
            if hasattr(integration, "include_prompts"):
                integration.include_prompts = False
            active[name] = integration


@contextmanager
def _only_those_in_use() -> Iterator[Any]:
    """Shorten the SDK's own table of integrations meanwhile.

    The SDK imports all that are in the table, with the libraries that they patch. It also decides
    by the table which of them replaces another one.
    """
    module = import_module(_PACKAGE)
    table: list[str] = module._AUTO_ENABLING_INTEGRATIONS  # noqa: SLF001 - it has no public name
    whole = table[:]
    table[:] = [path for path in whole if _is_usable(path)]
    try:
        yield module
    finally:
        table[:] = whole


def _is_usable(path: str) -> bool:
    """Whether the library of an integration is in use, and the integration can be imported."""
    module = path.rpartition(".")[0]
    name = module.removeprefix(f"{_PACKAGE}.")
    if name in _READ_BODIES or not _is_used(_PATCHED.get(name, name)):
        return False
    with suppress(Exception):  # an integration may not fit its library; the others must work
        import_module(module)
        return True
    return False


def _is_used(name: str) -> bool:
    """Whether the application uses a library; `sentry_sdk` itself imports parts of Django."""
    if name != "django":
        return name in sys.modules
    apps = sys.modules.get("django.apps")
    return apps is not None and bool(apps.apps.apps_ready)
