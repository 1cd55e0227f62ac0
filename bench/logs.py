"""Measure one log line of six fields inside a trace, a call below the active level, big values."""

from __future__ import annotations

import base64
import logging
import os
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from itertools import cycle, islice, repeat
from typing import TYPE_CHECKING, BinaryIO, cast

import orjson
import structlog
from pythonjsonlogger.json import JsonFormatter
from pythonjsonlogger.orjson import OrjsonFormatter

from bench.cases import Case, Contender, Target
from bench.harness import STDOUT, Stream, compare, own
from pantheon_obs import configure_logging, get_logger, trace_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from bench.cases import Effort, Row

TRACE_ID = "0af76519-16cd-43dd-8448-eb211c80319c"
FIELDS = frozenset({"order_id", "customer", "amount", "currency", "items", "express"})
LINE = FIELDS | {"timestamp", "level", "event", "trace_id"}
ORDERS = [f"ord_{number:08x}" for number in range(10_000)]
"""Values of one field, a different one on nearly each line, so that no cache has them all."""

# By the work: a value, and how many times as long as python-json-logger a line with it may take.
BIG = {
    "line with an image, 2 MB": (base64.b64encode(bytes(range(250)) * 6_000).decode(), 2),
    "line with a text, 5 MB": ("It was asked which of them answers first, and why. " * 100_000, 2),
    "line with an image, 1 MB": (base64.b64encode(bytes(range(250)) * 3_000).decode(), 3),
    "line with hex digits, 1 MB": ((bytes(range(250)) * 2_000).hex(), 3),
    "line with dense text, 1.2 MB": ('city=Oslo total: 5, "name": "x", at="1:2" ' * 28_600, 2),
    "line with dense text, 1 MB": ('city=Oslo total: 5, "name": "x", at="1:2" ' * 23_800, 25),
}

_trace_id: ContextVar[str] = ContextVar("trace_id", default="")


def rows(effort: Effort) -> list[Row]:
    """Measure the library's logger, a stdlib logger through it, a disabled call, big values."""
    configure_logging(log_format="json", log_level="INFO")
    ours = get_logger("bench.ours")
    through_us = logging.getLogger("bench.through_us")
    fast_structlog = structlog_at_its_fastest()
    python_json_logger = stdlib_logger("bench.peer", python_json_logger_handler())
    big_peer = _with_fields(stdlib_logger("bench.big", python_json_logger_by_default()))
    by_hand = stdlib_logger("bench.hand", HandlerByHand())
    theirs, within = copy_context(), copy_context()
    theirs.run(_trace_id.set, TRACE_ID)
    theirs.run(structlog.contextvars.bind_contextvars, trace_id=TRACE_ID)
    within.run(trace_context(TRACE_ID).__enter__)
    cases = (
        Case(
            work="log line, 6 fields",
            hand=_with_keywords(log_by_hand, theirs),
            peer=_with_keywords(fast_structlog.info, theirs),
            ours=_with_keywords(ours.info, within),
            target=Target(peer=1),
        ),
        Case(
            work="log line, 6 fields, stdlib",
            hand=_with_extra(by_hand, theirs),
            peer=_with_extra(python_json_logger, theirs, event="message"),
            ours=_with_extra(through_us, within),
            target=Target(peer=1),
        ),
        Case(
            work="disabled debug call",
            hand=_disabled(disabled_by_hand, theirs),
            peer=_disabled(fast_structlog.debug, theirs),
            ours=_disabled(ours.debug, within),
            target=Target(micros=0.35),
        ),
        *(
            Case(
                work=work,
                hand=_with_value(log_by_hand, theirs, value),
                peer=_with_value(big_peer, theirs, value),
                ours=_with_value(ours.info, within, value),
                target=Target(peer=times),
            )
            for work, (value, times) in BIG.items()
        ),
    )
    return [compare(case, effort) for case in cases]


def _with_value(log: Callable[..., object], context: Context, value: str) -> Contender:
    def run(pieces: int) -> None:
        for _ in repeat(None, pieces):
            log("received", data=value)

    mine = own(run)
    return Contender(run=lambda pieces: context.run(mine, pieces), line=frozenset({"data"}))


def _with_keywords(log: Callable[..., object], context: Context) -> Contender:
    orders = cycle(ORDERS)

    def run(pieces: int) -> None:
        for order_id in islice(orders, pieces):
            log(
                "order_placed",
                order_id=order_id,
                customer=48213,
                amount=129.95,
                currency="EUR",
                items=3,
                express=True,
            )

    mine = own(run)
    return Contender(run=lambda pieces: context.run(mine, pieces), line=LINE)


def _disabled(log: Callable[..., object], context: Context) -> Contender:
    def run(pieces: int) -> None:
        for _ in repeat(None, pieces):
            log("cache_missed", key="orders")

    mine = own(run)
    return Contender(run=lambda pieces: context.run(mine, pieces))


def _with_extra(logger: logging.Logger, context: Context, event: str = "event") -> Contender:
    orders = cycle(ORDERS)

    def run(pieces: int) -> None:
        for order_id in islice(orders, pieces):
            logger.info(
                "order_placed",
                extra={
                    "order_id": order_id,
                    "customer": 48213,
                    "amount": 129.95,
                    "currency": "EUR",
                    "items": 3,
                    "express": True,
                },
            )

    mine = own(run)
    return Contender(run=lambda pieces: context.run(mine, pieces), line=LINE - {"event"} | {event})


def log_by_hand(event: str, **fields: object) -> None:
    """Write the line with the tightest plain code: one dict, orjson, one write."""
    line = {
        "timestamp": datetime.now(UTC),
        "level": "info",
        "event": event,
        "logger": "bench.hand",
        "trace_id": _trace_id.get(),
        **fields,
    }
    os.write(STDOUT, orjson.dumps(line, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE))


def disabled_by_hand(event: str, **fields: object) -> None:
    """Do nothing, as a method that is replaced when the level is set."""


def structlog_at_its_fastest() -> structlog.typing.FilteringBoundLogger:
    """Set up structlog by its own page on performance, with a local logger."""
    lazy: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.BytesLogger(cast("BinaryIO", Stream())),
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
    )
    return lazy.bind()


class HandlerByHand(logging.Handler):
    """Render a stdlib record as JSON, with the fields that `extra=` has added."""

    _own = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        own = self._own
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            "trace_id": _trace_id.get(),
            **{key: value for key, value in record.__dict__.items() if key not in own},
        }
        os.write(STDOUT, orjson.dumps(line, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE))


def python_json_logger_handler() -> logging.Handler:
    """Set up python-json-logger over orjson; a filter puts the trace id on the record."""

    def add_trace_id(record: logging.LogRecord) -> bool:
        record.trace_id = _trace_id.get()
        return True

    handler = logging.StreamHandler(Stream())
    handler.addFilter(add_trace_id)
    handler.setFormatter(
        OrjsonFormatter(
            "%(timestamp)s %(level)s %(name)s %(trace_id)s %(message)s",
            rename_fields={"levelname": "level"},
            timestamp=True,
        )
    )
    return handler


def python_json_logger_by_default() -> logging.Handler:
    """Set up python-json-logger as its page shows first, over the standard library's JSON."""
    handler = logging.StreamHandler(Stream())
    handler.setFormatter(JsonFormatter())
    return handler


def _with_fields(logger: logging.Logger) -> Callable[..., object]:
    def log(event: str, **fields: object) -> None:
        logger.info(event, extra=fields)

    return log


def stdlib_logger(name: str, handler: logging.Handler) -> logging.Logger:
    """Make a logger that writes through this handler alone."""
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger
