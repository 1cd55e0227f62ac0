"""What the tests of Sentry share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sinks.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Something to send to; afterwards this process has no client again."""
    import sentry_sdk  # noqa: PLC0415 - not where the extra is missing

    with Receiver() as receiver:
        yield receiver
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)
