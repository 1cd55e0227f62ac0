"""The FastAPI application, with routes that differ in what Sentry should receive of them."""

from __future__ import annotations

import logging

from tests.apps import common, failures
from tests.apps.neutral import Incoming, Reply

# A handler of the application's own: each line is a `LogRecord` then, which others may read too.
logging.getLogger().addHandler(logging.NullHandler())


async def background(_: Incoming) -> Reply:
    """Fail after the response."""
    return Reply(after=(failures.fail_in_background,))


async def structlog(incoming: Incoming) -> Reply:
    """Log an error through structlog, an exception attached."""
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        failures.shop.exception("payment_failed", order=int(incoming.key), api_key="sk-secret")
    return Reply()


async def stdlib(_: Incoming) -> Reply:
    """Log an error through the standard library."""
    logging.getLogger("shop").error("stock is low", extra={"left": 2})
    return Reply()


common.POSTED.add("unhandled")
common.ROUTES.update(
    {
        "unhandled": failures.debug,
        "streaming": failures.broken_stream,
        "background": background,
        "structlog/{key}": structlog,
        "stdlib": stdlib,
        "handled": common.unavailable,
    }
)

from tests.apps.fastapi_app import app  # noqa: E402 - declares the routes

__all__ = ["app"]
