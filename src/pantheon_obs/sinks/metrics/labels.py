"""Bound the values of labels, whatever a client or a model provider sends."""

from __future__ import annotations

import logging
from typing import Any

OTHER = "_OTHER"
"""Stands for a value that is not one of the known ones, as in OpenTelemetry's conventions."""

_LONGEST = 200  # characters
_MOST = 200  # distinct values
_REMEMBERED = 1000
# https://www.rfc-editor.org/rfc/rfc9110#section-9 and RFC 5789, as OpenTelemetry lists them.
_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
_REGISTERED = range(1000, 1016)  # close codes, RFC 6455, section 7.4.1
_LIBRARIES, _APPLICATIONS = range(3000, 4000), range(4000, 5000)


def bounded(value: str | None) -> str:
    """Cut a value, and make it valid UTF-8: an invalid one would make every later scrape fail."""
    if not value:
        return ""
    return value[:_LONGEST].encode("utf-8", "replace").decode()


def method(value: str) -> str:
    """Return the method of a request, if it is a known one."""
    return value if value in _METHODS else OTHER


def close_code(value: int | None) -> str:
    """Return the close code of a websocket: as it is, by its range, or empty without one."""
    if value is None:
        return ""
    if value in _REGISTERED:
        return str(value)
    if value in _LIBRARIES:
        return "3xxx"
    return "4xxx" if value in _APPLICATIONS else OTHER


def keep_small(known: dict[Any, Any]) -> None:
    """Empty a memory of label values that has grown: clients may send any value."""
    if len(known) > _REMEMBERED:
        known.clear()


class Capped:
    """Lets a number of distinct values pass; a WARNING reports the first that does not."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._known: dict[str | None, str] = {}
        self._is_full = False

    def __call__(self, value: str | None) -> str:
        """Return the value, or `_OTHER`."""
        known = self._known.get(value)
        if known is not None:
            return known
        if len(self._known) < _MOST:
            return self._known.setdefault(value, bounded(value))
        if not self._is_full:
            self._is_full = True
            logging.getLogger("pantheon_obs.metrics").warning(
                "metrics_labels_full", extra={"label": self._label, "limit": _MOST}
            )
        return OTHER
