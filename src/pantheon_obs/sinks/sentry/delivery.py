"""Decide which events repeat a failure that Sentry's transport has got already."""

from __future__ import annotations

import sys
from logging import LogRecord
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import failures
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.installed import folder_of
from pantheon_obs.products import BEGINNINGS, PRODUCTS
from pantheon_obs.sinks.redact.plain import described

if TYPE_CHECKING:
    from collections.abc import Callable

_SERVERS = {name for row in PRODUCTS for name in row.repeats}
_AS_TEXT = {name for row in PRODUCTS for name in row.repeats_as_text}
# Our line of an uncaught exception lacks it if an earlier line had it; its text does not matter.
_BEGINNINGS = {**BEGINNINGS, "pantheon_obs.uncaught": ("",)}
_text_of: Callable[[Any], str] = LogRecord.getMessage
# Sentry's mechanisms and the logger for exceptions that have ended a thread, the process or a task.
_ENDS = {"threading", "excepthook", "asyncio"}

_guard = Guard("sentry queue")
_inherited: list[object] = []  # the parent's connections: to free them takes locks of its threads


class _Delivery:
    """Stands in for a transport's `capture_envelope`, and counts the failures that it is handed."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self._send = send

    def __call__(self, envelope: Any) -> None:  # noqa: ANN401 - Sentry's
        failures.handed_over(envelope.headers.get("event_id"))
        self._send(envelope)


def mechanism_of(event: dict[str, Any]) -> dict[str, Any]:
    """Return the mechanism by which Sentry got an event's exception; empty if it is not known."""
    values = (event.get("exception") or {}).get("values") or [{}]
    return values[-1].get("mechanism") or {}


def is_repetition(
    error: BaseException | None, record: LogRecord | None, event: dict[str, Any]
) -> bool:
    """Whether Sentry has got this failure already.

    A failure that the application has reported is repeated where its exception escapes, in its
    trace. Where the application reports the object again, that may be another raise of it: Sentry
    itself drops only the exception that it got last in this context.
    """
    if error is None:
        return record is not None and _is_repeated_in_text(record)
    name = "" if record is None else record.name
    kind = mechanism_of(event).get("type")
    if name in _SERVERS:
        failures.arrive(error)
    if (name or kind) in _ENDS:  # nothing repeats it after that: the next end is another raise
        failure = failures.note(error)
        failure.sent, failure.over = failure.sent and not failure.over, True
        return failure.sent
    if not any(map(failures.is_sent, (error, failures.root_of(error)))):
        return False
    by_code = kind == "generic" if record is None else folder_of(record.pathname) is None
    is_reported = by_code and name not in _SERVERS  # by the application
    if is_reported:
        failures.note(error).over = False
    return not is_reported


def _is_repeated_in_text(record: LogRecord) -> bool:
    beginnings = _BEGINNINGS.get(record.name)
    if beginnings is not None and described(record, _text_of).startswith(beginnings):
        return True
    return record.name in _AS_TEXT and failures.repeats(record)


def offer_event(error: BaseException, event: dict[str, Any]) -> None:
    """Remember the event of a failure, and watch the transport that may get it."""
    sdk = sys.modules["sentry_sdk"]
    transport = sdk.get_client().transport
    if transport is None:  # a client without a DSN
        return
    if not isinstance(transport.capture_envelope, _Delivery):
        transport.capture_envelope = _Delivery(transport.capture_envelope)
    failures.offer(error, event["event_id"])
    # Nothing is known of an exception whose class refuses attributes.
    if failures.known(error) and not failures.is_sent(error):
        # The SDK would drop the same object, whose last failure was another one.
        sdk.integrations.dedupe.DedupeIntegration.reset_last_seen()


def begin_afresh(client: Any) -> None:  # noqa: ANN401 - Sentry's
    """Give a client's transport an empty queue and new connections, in a process that was forked.

    The parent's thread waits at the queue, and would be woken here in place of this process's own:
    an event would stay until the next one comes. Events that wait there are the parent's to send,
    and so are its connections to send on.
    """
    with _guard:
        # The names are private to sentry_sdk; a transport of the application's has no such queue.
        worker = getattr(client.transport, "_worker", None)
        if worker is not None:
            size = client.options["transport_queue_size"]
            client.transport._worker = type(worker)(queue_size=size)  # noqa: SLF001 - as above
            _inherited.append(client.transport._pool)  # noqa: SLF001 - as above
            client.transport._pool = client.transport._make_pool()  # noqa: SLF001 - as above
