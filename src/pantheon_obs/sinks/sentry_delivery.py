"""Count a failure as sent once Sentry has handed its event to the transport, and not before."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import current_trace_id
from pantheon_obs.core.failures import handed_over, offer

if TYPE_CHECKING:
    from collections.abc import Callable


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
    if current_trace_id.get():
        # The same object may have come from another trace of this context last.
        sdk.integrations.dedupe.DedupeIntegration.reset_last_seen()
