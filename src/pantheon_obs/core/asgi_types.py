"""The types of the ASGI specification: https://asgi.readthedocs.io/en/latest/specs/main.html."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
ASGIWrapper: TypeAlias = Callable[[ASGIApp], ASGIApp]


def type_of(message: Any) -> Any:  # noqa: ANN401 - whatever the application has sent
    """The type of a message; None without one, which the other side judges."""
    try:
        return message["type"]
    except Exception:  # noqa: BLE001 - it may be anything
        return None


def close_code_of(message: Any, default: int | None = None) -> int | None:  # noqa: ANN401 - as above
    """The close code of a message; the default without one, None if it is no number."""
    code = message.get("code", default)
    return code if isinstance(code, int) else default
