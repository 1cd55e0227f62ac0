"""The context of an RPC, which notes the application's answers through it.

`context.abort` of the sync API raises a bare `Exception`, and contexts of plain functions under
`grpc.aio` do not report the code. So the methods are replaced, on the context where possible.
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.core.errors import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pantheon_obs.adapters.grpc_rpc import Rpc

    _Metadata = Iterable[tuple[str, str | bytes]]

_FEATURE = "pantheon_obs.adapters.grpc"
grpc: Any = require("grpc", extra=None, feature=_FEATURE, distribution="grpcio")

_HEADER = "x-trace-id"  # gRPC takes names of metadata in lower case only
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


class _Around:
    """Stands for a context whose attributes cannot be replaced."""

    def __init__(self, context: object) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


class Noting:
    """Puts methods of ours in place of a context's own, which they call.

    Attributes:
        context: The context object that the application gets.
    """

    def __init__(self, rpc: Rpc, given: Any) -> None:
        self.context = given if hasattr(given, "__dict__") else _Around(given)
        self._rpc = rpc
        rpc.called = True
        pipeline.entered(rpc)
        self._send = given.send_initial_metadata
        self._is_active: Callable[[], bool] | None = getattr(given, "is_active", None)
        if self._is_active is not None:  # else the RPC is over when its task ends
            given.add_callback(rpc.terminated)
        self._unsent = [(_HEADER, rpc.trace_id)]
        replaced: Any = self.context
        is_async = inspect.iscoroutinefunction(given.abort)
        replaced.send_initial_metadata = self._send_async if is_async else self._send_with_ours
        aborting = self._abort_async if is_async else self._abort
        for name, ours in (
            ("set_code", self._set_code),
            ("abort", aborting),
            ("abort_with_status", aborting),
            ("add_callback", _add_callback),
            ("add_done_callback", _add_callback),
            ("write", self._write),
        ):
            method = getattr(given, name, None)
            if method is not None:
                setattr(replaced, name, partial(ours, method))

    def in_time(self) -> bool:
        """Whether the RPC goes on."""
        return not self._rpc.ended_by_grpc and (self._is_active is None or self._is_active())

    def send(self) -> None:
        """Send the id, unless it is out."""
        if self._unsent and self.in_time():
            with suppress(Exception):  # the RPC may have ended since
                self._send_with_ours(())

    async def send_async(self) -> None:
        """Send the id, unless it is out."""
        if self._unsent:
            with suppress(Exception):  # the RPC may have ended
                await self._send_async(())

    def _send_with_ours(self, metadata: _Metadata) -> None:
        self._send((*metadata, *self._unsent))
        self._unsent = []  # only now: the application's metadata may be refused

    async def _send_async(self, metadata: _Metadata) -> None:
        await self._send((*metadata, *self._unsent))
        self._unsent = []

    def _set_code(self, set_code: Callable[[object], None], code: object) -> None:
        set_code(code)
        self._rpc.code = _name(code)

    def _note_abort(
        self, code: object = None, *_: object, status: object = None, **__: Any
    ) -> None:
        """Note the code of `abort(code, …)` or `abort_with_status(status)`."""
        self._rpc.aborted = True
        given = code if status is None else status
        name = _name(getattr(given, "code", given))
        self._rpc.code = "UNKNOWN" if name == "OK" else name

    def _abort(self, abort: Callable[..., object], *arguments: Any, **named: Any) -> object:
        self._note_abort(*arguments, **named)
        self.send()
        return abort(*arguments, **named)

    async def _abort_async(
        self, abort: Callable[..., Any], *arguments: Any, **named: Any
    ) -> object:
        self._note_abort(*arguments, **named)
        await self.send_async()
        return await abort(*arguments, **named)

    async def _write(self, write: Callable[..., Any], message: object) -> None:
        await self.send_async()
        await write(message)
        self._rpc.part(1)


def _add_callback(add: Callable[..., Any], callback: Callable[..., object]) -> Any:
    # gRPC calls it from a thread or task of its own, maybe while the RPC's context is used.
    return add(partial(copy_context().run, callback))


def _name(code: Any) -> str:
    if isinstance(code, grpc.StatusCode):
        return str(code.name)
    return _NAMES.get(code, "UNKNOWN") if isinstance(code, int) else "UNKNOWN"
