"""Users' code with the public names: checked by mypy and pyright, never run.

Each `type: ignore` marks a mistake that both must report: one which is not needed is an error.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, assert_type

import httpx2
from fastapi import FastAPI
from multidict import CIMultiDict
from starlette.applications import Starlette

import pantheon_obs
from pantheon_obs import (
    BudgetExceeded,
    ConfigError,
    MissingExtraError,
    ObsError,
    Settings,
    TraceIdMiddleware,
    bind,
    budget,
    configure_logging,
    current_trace_id,
    extract,
    get_logger,
    init_sentry,
    inject,
    instrument,
    instrument_celery,
    instrument_llm,
    llm_call,
    logging_config,
    measure,
    propagate,
    redis_check,
    trace_context,
)
from pantheon_obs.propagation import Propagation

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Generator,
        Iterator,
        MutableMapping,
    )

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]


# --- instrument returns the type of its argument


class Service(FastAPI):
    """An application class of the user's own."""


class Raw:
    """An ASGI application that is an object."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve."""


assert_type(instrument(FastAPI()), FastAPI)
assert_type(instrument(Starlette()), Starlette)
assert_type(instrument(Service()), Service)
assert_type(instrument(Raw()), Raw)
assert_type(instrument(FastAPI(), Settings(service="chat")), FastAPI)
assert_type(instrument(FastAPI(), log_level="DEBUG", trust_inbound=False), FastAPI)
wrapped: Callable[[Scope, Receive, Send], Awaitable[None]] = instrument(raw)

FastAPI().add_middleware(TraceIdMiddleware)
Starlette().add_middleware(TraceIdMiddleware, settings=Settings())
TraceIdMiddleware(raw)
TraceIdMiddleware(FastAPI(), Settings())


# --- instrument_celery does so, too


class Tasks:
    """Stands for a Celery app, which has no types of its own."""


assert_type(instrument_celery(Tasks()), Tasks)
assert_type(instrument_celery(Tasks(), Settings(), bound_fields=("user_id",)), Tasks)
instrument_celery(Tasks(), bound_fields={"user_id"}, log_level="DEBUG")
instrument_celery(Tasks(), bound_fields=[7])  # type: ignore[list-item]


# --- settings

settings = Settings(log_format="json", sentry_traces_sample_rate=0.5)
assert_type(settings.service, str | None)
assert_type(settings.log_level, str)
assert_type(settings.log_format, Literal["json", "text", "console", "auto"])
assert_type(settings.inbound_headers, tuple[str, ...])
assert_type(settings.trust_inbound, bool)
assert_type(settings.sentry_dsn, str | None)
assert_type(settings.sentry_traces_sample_rate, float)
assert_type(settings.max_line_bytes, int)
assert_type(Settings.from_env(), Settings)
Settings(log_fromat="json")  # type: ignore[call-arg]
Settings(log_format="yaml")  # type: ignore[arg-type]
settings.log_level = "DEBUG"  # type: ignore[misc]


# --- context, logging, Sentry

assert_type(current_trace_id, ContextVar[str])
assert_type(current_trace_id.get(), str)
bind(tenant="acme", attempt=1)
with trace_context() as fresh:
    assert_type(fresh, str)
with trace_context("job-1"):
    pass
configure_logging()
configure_logging(Settings(), log_level="DEBUG")
assert_type(logging_config(log_format="text"), dict[str, Any])
get_logger().info("ready", port=8000)
get_logger(__name__).bind(tenant="acme").warning("slow")
assert_type(init_sentry(), bool)
failures: tuple[type[ObsError], ...] = (ConfigError, MissingExtraError)
bad_value: type[ValueError] = ConfigError
not_installed: type[ImportError] = MissingExtraError


# --- budget

with budget(5.00, per="tenant", window=3600, on_exceeded=lambda key, spent: None) as daily:
    assert_type(daily.spent("acme"), float)
refused: type[ObsError] = BudgetExceeded
assert_type(BudgetExceeded("acme", 5.1, 5.0).key, str | None)


# --- measure keeps it, too


@measure("render")
def render(page: str, *, wide: bool = False) -> bytes:
    """Render a page."""
    return page.encode() * (1 + wide)


@measure("rows")
async def stream_rows(limit: int) -> AsyncIterator[int]:
    """Yield a row."""
    async with measure("row"):
        yield limit


assert_type(render("home", wide=True), bytes)
render(1)  # type: ignore[arg-type]
assert_type(stream_rows(1), AsyncIterator[int])
measure(3)  # type: ignore[arg-type]


# --- llm_call keeps the signature of the decorated function


@llm_call
def bare(prompt: str, *, tokens: int = 1) -> int:
    """Answer at once."""
    return len(prompt) + tokens


@llm_call(model="m", operation="generate", provider="p")
def with_options(prompt: str) -> int:
    """Answer at once."""
    return len(prompt)


def model_for(prompt: str) -> str:
    """Return the model of a call from its arguments."""
    return f"model for {prompt}"


@llm_call(model=model_for, usage=lambda response: (response["in"], response["out"]))
async def asynchronous(prompt: str) -> bytes:
    """Answer later."""
    return prompt.encode()


@llm_call
def iterator(prompt: str) -> Iterator[str]:
    """Answer in pieces."""
    yield prompt


@llm_call
def generator(prompt: str) -> Generator[str, int, float]:
    """Answer in pieces, and accept values that are sent."""
    return float((yield prompt))


@llm_call(model="m")
async def async_iterator(prompt: str) -> AsyncIterator[str]:
    """Answer in pieces."""
    yield prompt


@llm_call(model="m")
async def async_generator(prompt: str) -> AsyncGenerator[str, int]:
    """Answer in pieces, and accept values that are sent."""
    yield prompt


assert_type(bare("p", tokens=2), int)
assert_type(with_options("p"), int)
assert_type(iterator("p"), Iterator[str])
assert_type(generator("p"), Generator[str, int, float])
assert_type(async_iterator("p"), AsyncIterator[str])
assert_type(async_generator("p"), AsyncGenerator[str, int])
same: Callable[[str], int] = with_options
bare(1)  # type: ignore[arg-type]
bare("p", token=2)  # type: ignore[call-arg]
with_options()  # type: ignore[call-arg]
llm_call(modle="m")  # type: ignore[call-overload]


async def awaiting() -> None:
    """Use the asynchronous functions."""
    assert_type(await asynchronous("p"), bytes)
    async for piece in async_iterator("p"):
        assert_type(piece, str)
    async with llm_call(model="m", operation="call") as call:
        call.chunk(object())


class LlmGateway(Protocol):
    """The methods that the service needs of a gateway."""

    async def generate(self, prompt: str) -> int:
        """Answer at once."""
        ...

    def stream(self, prompt: str) -> AsyncIterator[str]:
        """Answer in pieces."""
        ...


class Gateway:
    """A gateway with decorated methods still fits the protocol."""

    @llm_call
    async def generate(self, prompt: str) -> int:
        """Answer at once."""
        return len(prompt)

    @llm_call(model="m")
    async def stream(self, prompt: str) -> AsyncIterator[str]:
        """Answer in pieces."""
        yield prompt


gateway: LlmGateway = Gateway()
assert_type(Gateway().stream("p"), AsyncIterator[str])


class Methods:
    """Static and class methods, with `llm_call` above or below."""

    @llm_call
    @staticmethod
    def static_above(prompt: str) -> int:
        """Answer at once."""
        return len(prompt)

    @staticmethod
    @llm_call(model="m")
    def static_below(prompt: str) -> int:
        """Answer at once."""
        return len(prompt)

    @llm_call
    @classmethod
    def class_above(cls, prompt: str) -> int:
        """Answer at once."""
        return len(prompt)

    @classmethod
    @llm_call(model="m")
    async def class_below(cls, prompt: str) -> int:
        """Answer later."""
        return len(prompt)


assert_type(Methods.static_above("p"), int)
assert_type(Methods().static_below("p"), int)
assert_type(Methods.class_above("p"), int)
Methods.static_above(1)  # type: ignore[arg-type]
part = llm_call(partial(with_options, "p"))
assert_type(part(), int)
bound: Callable[[str], Awaitable[int]] = llm_call(Gateway().generate)

with llm_call(model="m", operation="call") as manual:
    manual.chunk({"choices": []})
    manual.usage({"input_tokens": 1})
    manual.result({"model": "m"})


# --- instrument_llm returns the type of its argument

own = Gateway()
instrumentation = instrument_llm(own)
assert_type(own, Gateway)
assert_type(own.stream("p"), AsyncIterator[str])
assert_type(instrumentation.undo(), None)
with instrument_llm(own, ["generate"], provider="p", usage=lambda answer: (1, 2)) as undoable:
    undoable.undo()
instrument_llm(own, methods="stream", prices={"fast": (0.5, 1.5)})
instrument_llm(own, ("generate",), prices=lambda call: call.latency_ms)
instrument_llm()  # type: ignore[call-arg]
instrument_llm(own, method="generate")  # type: ignore[call-arg]
instrument_llm(own, 7)  # type: ignore[arg-type]


# --- propagation: inject returns the type of its argument

sent: dict[str, str | bytes] = {}
assert_type(inject(), dict[str, str])
assert_type(inject(None), dict[str, str])
assert_type(inject({"Accept": "text/plain"}), dict[str, str])
assert_type(inject(sent), dict[str, str | bytes])
assert_type(inject(httpx2.Headers()), httpx2.Headers)
assert_type(inject(CIMultiDict[str]()), CIMultiDict[str])
inject([("Accept", "text/plain")])  # type: ignore[call-overload]
inject({"Accept": 1})  # type: ignore[type-var]
assert_type(extract({"X-Trace-ID": "one"}), str | None)
extract({b"x-trace-id": b"one"})
extract(httpx2.Headers())
extract([(b"x-trace-id", b"one")])
extract((("X-Trace-ID", "one"), ("Accept", b"text/plain")))
extract(sent)
extract(None)
extract(7)  # type: ignore[arg-type]
with trace_context(extract({})):
    pass

http_client = httpx2.Client()
assert_type(propagate(http_client), Propagation)
assert_type(propagate(http_client, hosts=["api.internal"]).undo(), None)
with propagate(http_client, hosts=("*.internal",)) as propagation:
    assert_type(propagation, Propagation)
propagate(http_client, ["api.internal"])  # type: ignore[call-arg]
propagate(http_client, hosts=7)  # type: ignore[arg-type]
pantheon_obs.propagation.injcet  # type: ignore[attr-defined]


# --- the names are lazy, and a typo is still an error

pantheon_obs.instrumnet  # type: ignore[attr-defined]


# --- a name that needs another package is found, too

assert_type(redis_check("redis://cache"), "Callable[[], object]")
