"""Count a failure as sent once Sentry has handed its event to the transport, and not before."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.failures import handed_over, known, offer
from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Callable

_guard = Guard("sentry queue")


class _Delivery:
    """Stands in for a transport's `capture_envelope`, and counts the failures that it is handed."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self._send = send

    def __call__(self, envelope: Any) -> None:  # noqa: ANN401 - Sentry's
        handed_over(envelope.headers.get("event_id"))
        self._send(envelope)


def offer_event(error: BaseException, event: dict[str, Any]) -> None:
    """Remember the event of a failure, and watch the transport that may get it."""
    sdk = sys.modules["sentry_sdk"]
    transport = sdk.get_client().transport
    if transport is None:  # a client without a DSN
        return
    if not isinstance(transport.capture_envelope, _Delivery):
        transport.capture_envelope = _Delivery(transport.capture_envelope)
    offer(error, event["event_id"])
    if known(error) is not None:  # a class may refuse to have attributes
        # The SDK would drop the same object, whose last failure was another one.
        sdk.integrations.dedupe.DedupeIntegration.reset_last_seen()


def begin_afresh(client: Any) -> None:  # noqa: ANN401 - Sentry's
    """Give a client's transport an empty queue, in a process that was forked.

    The parent's thread waits at the queue, and would be woken here in place of this process's own:
    an event would stay until the next one comes. Events that wait there are the parent's to send.
    """
    with _guard:
        # The name is private to sentry_sdk; a transport of the application's has no such queue.
        worker = getattr(client.transport, "_worker", None)
        if worker is not None:
            size = client.options["transport_queue_size"]
            client.transport._worker = type(worker)(queue_size=size)  # noqa: SLF001 - as above
