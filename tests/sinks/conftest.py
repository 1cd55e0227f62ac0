"""Fixtures of Sentry's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sinks.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Receive events; afterwards this process has no client, and empty scopes."""
    import sentry_sdk  # noqa: PLC0415 - not where the extra is missing

    with Receiver() as receiver:
        yield receiver
        # Before the receiver stops, as closing sends the rest.
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)
        sentry_sdk.get_isolation_scope().clear()
        sentry_sdk.get_current_scope().clear()
