"""The other programs that the library knows: one row per framework and server.

It imports types only: every part but core may read it. Facts that an object has are left out.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Says = Literal[
    "access line",
    "websocket line",
    "unhandled error",
    "lifespan failure",
    "task end",
    "task failure",
]
"""Kinds of records that say less than an event of the library."""


class Refusal(NamedTuple):
    """How a server answers the handshake of a websocket that does not come about."""

    status: int = 500
    body: str = "Internal Server Error"
    connection: str = "close"  # the header, if any


class Product(NamedTuple):
    """A framework or server."""

    name: str  # as it is imported
    module: str = ""  # the module of its application class, if it has one
    app_class: str = ""  # the class whose objects `instrument` takes
    protocol: Literal["asgi", "wsgi", ""] = ""  # by which a server calls such an object
    # It gives these levels and handlers; `log_level` and the library's handler replace those.
    loggers: tuple[str, ...] = ()
    leveled: tuple[str, ...] = ()  # it gives these levels only; `log_level` replaces those
    default_level: int = 20  # which it gives its loggers if its user does not choose one
    # Access logs; they are dropped, as `request_finished` says more and omits the query.
    access: tuple[str, ...] = ()
    # Functions that write access lines to a stream without logging: a class and the method.
    writes: tuple[tuple[str, str, str], ...] = ()
    prints: tuple[str, ...] = ()  # classes of its handlers whose output goes to the same log
    quiet: tuple[str, ...] = ()  # log each request at INFO; get WARNING unless they have a level
    repeats: tuple[str, ...] = ()  # repeat an exception which `request_finished` carries
    repeats_as_text: tuple[str, ...] = ()  # of those: the message has the traceback
    # Loggers with records that say less than an event of the library, and the kind.
    says_less: tuple[tuple[str, Says], ...] = ()
    # Pattern for the beginning of the message with which it logs, on the application's own logger,
    # an unhandled error that it answers itself.
    announces: str = ""
    # Loggers that repeat a failure as text, and the first words of that text.
    repeats_beginning: tuple[tuple[str, tuple[str, ...]], ...] = ()
    tasks_on_records: bool = False  # its records describe a task in a dict, under `data`
    # Its records carry the `request`, whose text has the query string, or in its place a socket.
    requests_on_records: bool = False
    stdout_module: str = ""  # of the class with which it replaces sys.stdout, to log each text
    cache_users: tuple[str, ...] = ()  # packages whose commands to Redis are not the application's
    departures: tuple[str, ...] = ()  # exceptions that say over ASGI that the client has left
    # Attribute of the object whose method handles SIGTERM, and its value once the server stops.
    stopping: tuple[str, bool] | None = None
    # Its own answers to a handshake that the application refuses, and in which it fails.
    refusals: tuple[Refusal, Refusal] = (Refusal(403, "", ""), Refusal())
    # Module and class of its HTTP exceptions. Extensions announce those below 500 as unhandled too.
    http_error: tuple[str, str] | None = None
    lifespan_error: str = ""  # the text of the ValueError by which it refuses a server's lifespan
    # The class whose objects run its command line, and the command there that serves. Where there
    # is no such command, a command serves from the moment when it makes the application.
    command_line: str = ""
    serving_command: str = ""
    # The scope that Sentry's integration opens around a request or task, if it is not the protocol.
    sentry_scope: str = ""
    # Classes whose objects are mistaken for its application, each with its replacement.
    parts: tuple[tuple[str, str], ...] = ()
    sentry_wraps: bool = True  # Sentry's integration puts its middleware around the application
    # Functions of its module that give the number of a worker. Process 0 loads the application, and
    # forks the workers in C, without Python's hooks.
    numbers: tuple[str, ...] = ()
    prints_by_hook: bool = False  # passes exceptions of requests to sys.excepthook, and goes on


LIBRARIES = frozenset(
    {
        *("LiteLLM", "PIL", "aio_pika", "aiohttp", "aiokafka", "aiormq", "aiosqlite", "alembic"),
        *("amqp", "anthropic", "asyncio", "asyncpg", "azure", "billiard", "boto3", "botocore"),
        *("charset_normalizer", "cohere", "concurrent", "daphne", "elastic_transport", "faker"),
        *("filelock", "fsspec", "google", "google_genai", "groq", "h11", "h2", "hpack"),
        *("instructor", "kafka", "kombu", "langchain", "langfuse", "langsmith", "litellm"),
        *("llama_index", "markdown_it", "matplotlib", "mcp", "mistralai", "multipart", "numba"),
        *("ollama", "openai", "opentelemetry", "paramiko", "parso", "passlib", "pika"),
        *("prometheus_client", "psycopg", "pydantic_ai", "pymongo", "python_multipart", "redis"),
        *("requests", "requests_oauthlib", "s3transfer", "sentry_sdk", "sqlalchemy", "stripe"),
        *("tenacity", "together", "tornado", "urllib3", "watchfiles", "websockets", "wsproto"),
        *("zeep", "zmq"),
    }
)
"""Further libraries that log details at DEBUG, by the first part of the names of their loggers."""

# Packages whose middleware gives each request an id or counts it, which is done twice then.
ALIKE = {
    "asgi_correlation_id": "it gives each request another id",
    "django_guid": "it gives each request another id",
    "django_prometheus": "it counts each request a second time",
    "django_structlog": "it gives each request another id",
    "prometheus_fastapi_instrumentator": "it counts each request a second time",
    "starlette_context": "it gives each request another id",
    "starlette_exporter": "it counts each request a second time",
    "starlette_prometheus": "it counts each request a second time",
}

PRODUCTS = (
    # Frameworks. A subclass of an application class, as FastAPI is of Starlette, has its row too.
    Product(
        name="starlette",
        module="starlette.applications",
        app_class="Starlette",
        protocol="asgi",
        departures=("ClientDisconnect", "WebSocketDisconnect"),
    ),
    Product(
        name="fastapi",
        parts=(("APIRouter", "the FastAPI object that includes the APIRouter"),),
    ),
    Product(
        name="litestar",
        module="litestar.app",
        app_class="Litestar",
        protocol="asgi",
        parts=(("Router", "the Litestar object that has the Router among its handlers"),),
        # Sentry's integration reads each request's body before the handler, and sends it.
        sentry_wraps=False,
        sentry_scope="litestar",
        command_line="litestar.cli._utils.LitestarGroup",
        serving_command="litestar.cli.commands.core.run_command",
    ),
    Product(
        name="quart",
        module="quart.app",
        app_class="Quart",
        protocol="asgi",
        announces="Exception( on |$)",
        command_line="quart.cli.AppGroup",
        serving_command="quart.cli.run_command",
        parts=(("Blueprint", "the Quart object that registers the Blueprint"),),
    ),
    Product(
        name="flask",
        module="flask.app",
        app_class="Flask",
        protocol="wsgi",
        announces="Exception on ",
        command_line="flask.cli.AppGroup",
        serving_command="flask.cli.run_command",
        parts=(("Blueprint", "the Flask object that registers the Blueprint"),),
        http_error=("werkzeug.exceptions", "HTTPException"),
    ),
    Product(
        name="django",
        # Its handler that mails errors to admins stays.
        leveled=("django", "django.server"),
        says_less=(
            ("django.server", "access line"),
            ("django.channels.server", "access line"),
            ("django.request", "unhandled error"),
        ),
        requests_on_records=True,
        command_line="django.core.management.ManagementUtility",
        lifespan_error="Django can only handle ASGI/HTTP connections, not lifespan.",
        sentry_scope="django",
    ),
    Product(name="channels", lifespan_error="No application configured for scope type 'lifespan'"),
    Product(
        name="celery",
        parts=(("Celery", "instrument_celery(app) for a Celery app"),),
        loggers=("celery", "celery.task", "celery.redirected"),
        default_level=30,
        says_less=(("celery.app.trace", "task end"), ("celery.worker.request", "task failure")),
        # The second record about a task that took too long.
        repeats_beginning=(("celery.worker.request", ("Hard time limit",)),),
        tasks_on_records=True,
        stdout_module="celery.utils.log",
        cache_users=("celery", "kombu"),
        sentry_scope="celery",
    ),
    # Servers.
    Product(
        name="uvicorn",
        loggers=("uvicorn", "uvicorn.error", "uvicorn.asgi"),
        access=("uvicorn.access",),
        repeats=("uvicorn.error",),
        repeats_as_text=("uvicorn.error",),
        says_less=(("uvicorn.error", "websocket line"),),
        repeats_beginning=(
            ("uvicorn.error", ("Application startup failed", "Application shutdown failed")),
        ),
        departures=("ClientDisconnected",),
        stopping=("should_exit", True),
    ),
    Product(
        name="gunicorn",
        loggers=("gunicorn", "gunicorn.error"),
        access=("gunicorn.access",),
        repeats=("gunicorn.error",),
        says_less=(("gunicorn.error", "lifespan failure"),),
        # Of its ASGI worker. Its other reasons are its own: no event of ours has them.
        repeats_beginning=(
            ("gunicorn.error", ("ASGI lifespan startup failed: Lifespan startup failed",)),
        ),
    ),
    Product(
        name="hypercorn",
        loggers=("hypercorn.error",),
        access=("hypercorn.access",),
        repeats=("hypercorn.error",),
        refusals=(Refusal(403, ""), Refusal(500, "")),
    ),
    Product(
        name="granian",
        loggers=("_granian",),
        access=("granian.access",),
        repeats=("_granian", "_granian.utils"),
        repeats_as_text=("_granian", "_granian.utils"),
        refusals=(Refusal(403, "", ""), Refusal(403, "", "")),
    ),
    Product(
        name="werkzeug",
        loggers=("werkzeug",),
        repeats=("werkzeug",),
        repeats_as_text=("werkzeug",),
        says_less=(("werkzeug", "access line"),),
    ),
    Product(name="uwsgi", numbers=("worker_id", "mule_id"), prints_by_hook=True),
    # The query string stands in its lines.
    Product(name="daphne", writes=(("daphne.access", "AccessLogGenerator", "write_entry"),)),
    Product(name="tornado", says_less=(("tornado.access", "access line"),)),
    Product(name="grpc", repeats=("grpc._server", "grpc._common", "grpc._cython.cygrpc")),
    Product(
        name="awslambdaric",  # writes to a descriptor that is read beside standard output
        prints=("bootstrap.LambdaLoggerHandler", "bootstrap.LambdaLoggerHandlerWithFrameType"),
    ),
    # HTTP clients.
    Product(name="httpx", quiet=("httpx", "httpcore")),
    Product(name="httpx2", quiet=("httpx2", "httpcore2")),
)

WORKER_NUMBERS = {row.name: row.numbers for row in PRODUCTS if row.numbers}
ACCESS = tuple(name for row in PRODUCTS for name in row.access)  # loggers
BEGINNINGS = dict(pair for row in PRODUCTS for pair in row.repeats_beginning)  # by logger
