"""Records about a request that carry the request object itself, as Django's own do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.carrier import carried_by
from pantheon_obs.core.exchange import Exchange

if TYPE_CHECKING:
    import logging

    from pantheon_obs.core.context import Trace

_ACCESS_LINE = '"%s" %s %s'  # with the query string


def is_access_line(record: logging.LogRecord) -> bool:
    """Whether a server for development says it of each request; `request_finished` says more."""
    return str(record.msg).endswith(_ACCESS_LINE)


def owner_of(record: logging.LogRecord, fields: dict[str, Any]) -> Trace | None:
    """The record of the request that a record is about, also when that has ended.

    Args:
        record: A record with a `request`.
        fields: What is to be shown of it; the object is replaced, as its text has the query string.
    """
    request = fields["request"]
    owner = carried_by(request)
    if isinstance(owner, Exchange):
        fields["request"] = f"{owner.method} {owner.path}"
    elif str(record.name).partition(".")[0] == "django":  # a socket, of a request that was none
        del fields["request"]
    return owner
