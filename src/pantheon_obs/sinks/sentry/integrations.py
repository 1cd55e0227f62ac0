"""Enable Sentry's integrations of the libraries that the application has imported.

Servers of gRPC get its interceptor where they lack it, and handlers that it would break are spared.
"""

from __future__ import annotations

import inspect
import sys
from contextlib import contextmanager, suppress
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.stack import is_below
from pantheon_obs.products import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import ModuleType

    Continuation = Callable[[Any], Awaitable[Any]]

_PACKAGE = "sentry_sdk.integrations"
# The SDK has it, and leaves it to the application to enable.
_ALSO = (f"{_PACKAGE}.grpc.GRPCIntegration",)
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
    if "grpc" in found:
        _spare_plain_handlers()
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
    table[:] = [path for path in (*whole, *_ALSO) if _is_usable(path)]
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


def missing_interceptor(sdk: ModuleType, module: str) -> Any:  # noqa: ANN401 - gRPC's
    """Return Sentry's interceptor for a server that was made before Sentry had started; else None.

    Sentry puts it into servers that are made later, before all others: it is running then.
    """
    if sdk.get_client().get_integration("grpc") is None or is_below(f"{module}.ServerInterceptor"):
        return None
    return import_module(module).ServerInterceptor()


def _spare_plain_handlers() -> None:
    """Let Sentry wrap only coroutine functions and asynchronous generators, once.

    It awaits every handler. `grpc.aio` takes plain functions and generators too, and coroutines
    that send their responses with `context.write`: the calls of these would fail.
    """
    sentry: Any = import_module("sentry_sdk.integrations.grpc.aio.server").ServerInterceptor
    intercept = sentry.intercept_service
    if hasattr(intercept, "__wrapped__"):
        return

    @wraps(intercept)
    async def sparing(self: object, continuation: Continuation, details: Any) -> Any:  # noqa: ANN401 - gRPC's
        handler = await continuation(details)
        if not _is_wrappable(handler):
            return handler

        async def found(_: object) -> Any:  # noqa: ANN401 - gRPC's
            return handler

        return await intercept(self, found, details)

    sentry.intercept_service = sparing


def _is_wrappable(handler: Any) -> bool:  # noqa: ANN401 - gRPC's
    if handler is None:
        return False
    takes = "stream" if handler.request_streaming else "unary"
    gives = "stream" if handler.response_streaming else "unary"
    behavior = getattr(handler, f"{takes}_{gives}")
    if gives == "stream":
        return inspect.isasyncgenfunction(behavior)
    return inspect.iscoroutinefunction(behavior)
