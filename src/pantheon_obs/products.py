"""The other programs that the library knows: one row per framework, server and SDK.

It imports types only, so that every part but core may read it. Facts that an object itself can
tell are not here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Says = Literal["access line", "websocket line", "unhandled error", "task end", "task failure"]
"""Kinds of records that say less than an event of the library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A framework or server.

    Attributes:
        name: Its name, as it is imported.
        module: The module of its application class; empty for a product without one.
        app_class: The class whose objects `instrument` takes.
        protocol: The protocol by which a server calls such an object.
        loggers: Loggers that it gives levels and handlers; `log_level` and the library's handler
            replace those.
        leveled: Loggers that it gives levels only; `log_level` replaces those.
        access: Access logs; they are dropped, as `request_finished` says more and omits the query.
        quiet: Loggers that log each request at INFO; they get WARNING unless they have a level.
        repeats: Loggers that repeat an exception which `request_finished` carries.
        repeats_as_text: Those of `repeats` that have the traceback in the message.
        says_less: Loggers with records that say less than an event of the library, and the kind.
        announces: Pattern for the beginning of the message with which it logs, on the application's
            own logger, an unhandled error that it answers itself.
        repeats_beginning: Loggers that repeat a failure as text, and the first words of that text.
        lifespan_error: The text of the ValueError by which it refuses a server's lifespan.
        sentry: The module and class of its integration in `sentry_sdk.integrations`.
        sentry_scope: The name of the scope that its integration opens around a request or task,
            where that is not the protocol.
        sentry_wraps: Whether that integration puts Sentry's middleware around the application.
    """

    name: str
    module: str = ""
    app_class: str = ""
    protocol: Literal["asgi", "wsgi", ""] = ""
    loggers: tuple[str, ...] = ()
    leveled: tuple[str, ...] = ()
    access: tuple[str, ...] = ()
    quiet: tuple[str, ...] = ()
    repeats: tuple[str, ...] = ()
    repeats_as_text: tuple[str, ...] = ()
    says_less: tuple[tuple[str, Says], ...] = ()
    announces: str = ""
    repeats_beginning: tuple[tuple[str, str], ...] = ()
    lifespan_error: str = ""
    sentry: tuple[str, str] | None = None
    sentry_scope: str = ""
    sentry_wraps: bool = True


PRODUCTS = (
    # Frameworks. A subclass of an application class, as FastAPI is of Starlette, has its row too.
    Product(
        name="starlette",
        module="starlette.applications",
        app_class="Starlette",
        protocol="asgi",
        sentry=("starlette", "StarletteIntegration"),
    ),
    Product(name="fastapi", sentry=("fastapi", "FastApiIntegration")),
    Product(
        name="litestar",
        module="litestar.app",
        app_class="Litestar",
        protocol="asgi",
        # Sentry's integration reads each request's body before the handler, and sends it.
        sentry_wraps=False,
        sentry_scope="litestar",
    ),
    Product(
        name="quart",
        module="quart.app",
        app_class="Quart",
        protocol="asgi",
        announces="Exception( on |$)",
        sentry=("quart", "QuartIntegration"),
    ),
    Product(
        name="flask",
        module="flask.app",
        app_class="Flask",
        protocol="wsgi",
        announces="Exception on ",
        sentry=("flask", "FlaskIntegration"),
    ),
    Product(
        name="django",
        # Its handler that mails errors to admins stays.
        leveled=("django", "django.server"),
        says_less=(("django.server", "access line"), ("django.request", "unhandled error")),
        lifespan_error="Django can only handle ASGI/HTTP connections, not lifespan.",
        sentry=("django", "DjangoIntegration"),
        sentry_scope="django",
    ),
    Product(
        name="celery",
        loggers=("celery", "celery.task", "celery.redirected"),
        says_less=(
            ("celery.app.trace", "task end"),
            ("celery.worker.request", "task failure"),
        ),
        # The second record about a task that took too long.
        repeats_beginning=(("celery.worker.request", "Hard time limit"),),
        sentry=("celery", "CeleryIntegration"),
        sentry_scope="celery",
    ),
    # Servers.
    Product(
        name="uvicorn",
        loggers=("uvicorn", "uvicorn.error", "uvicorn.asgi"),
        access=("uvicorn.access",),
        repeats=("uvicorn.error",),
        says_less=(("uvicorn.error", "websocket line"),),
    ),
    Product(
        name="gunicorn",
        loggers=("gunicorn", "gunicorn.error"),
        access=("gunicorn.access",),
        repeats=("gunicorn.error",),
    ),
    Product(
        name="hypercorn",
        loggers=("hypercorn.error",),
        access=("hypercorn.access",),
        repeats=("hypercorn.error",),
    ),
    Product(
        name="granian",
        loggers=("_granian",),
        access=("granian.access",),
        repeats=("_granian", "_granian.utils"),
        repeats_as_text=("_granian.utils",),
    ),
    Product(
        name="werkzeug",
        loggers=("werkzeug",),
        repeats=("werkzeug",),
        repeats_as_text=("werkzeug",),
        says_less=(("werkzeug", "access line"),),
    ),
    # HTTP clients.
    Product(name="httpx", quiet=("httpx", "httpcore")),
    Product(name="httpx2", quiet=("httpx2", "httpcore2")),
)


def _google(client: Any) -> str:  # noqa: ANN401 - a client of google-genai
    return "gcp.vertex_ai" if client.vertexai else "gcp.gemini"


_OPENAI = {
    "chat.completions.create": "chat",
    "chat.completions.parse": "chat",
    "chat.completions.stream": "chat",
    "responses.create": "responses",
    "responses.parse": "responses",
    "responses.stream": "responses",
    "embeddings.create": "embeddings",
}
_ANTHROPIC = {
    f"{resource}.{method}": "messages"
    for resource in ("messages", "beta.messages")
    for method in ("create", "parse", "stream")
}
_GENAI = {
    f"{resource}.{method}": operation
    for resource in ("models", "aio.models")
    for method, operation in {
        "generate_content": "generate_content",
        "generate_content_stream": "generate_content",
        "embed_content": "embeddings",
    }.items()
}


@dataclass(frozen=True, slots=True)
class Sdk:
    """A client class of an LLM SDK.

    Attributes:
        package: The package that it is from.
        names: The class's names, sync and async.
        provider: The vendor, by OpenTelemetry's name for it, or a function of a client.
            https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
        operations: The path to each method that calls a model, with the operation's name.
    """

    package: str
    names: frozenset[str]
    provider: str | Callable[[Any], str]
    operations: Mapping[str, str] = field(repr=False)


SDKS = (
    Sdk("openai", frozenset({"OpenAI", "AsyncOpenAI"}), "openai", _OPENAI),
    Sdk("openai", frozenset({"AzureOpenAI", "AsyncAzureOpenAI"}), "azure.ai.openai", _OPENAI),
    Sdk("anthropic", frozenset({"Anthropic", "AsyncAnthropic"}), "anthropic", _ANTHROPIC),
    Sdk(
        "anthropic",
        frozenset({"AnthropicBedrock", "AsyncAnthropicBedrock"}),
        "aws.bedrock",
        _ANTHROPIC,
    ),
    Sdk(
        "anthropic",
        frozenset({"AnthropicVertex", "AsyncAnthropicVertex"}),
        "gcp.vertex_ai",
        _ANTHROPIC,
    ),
    Sdk("google.genai", frozenset({"Client"}), _google, _GENAI),
)
