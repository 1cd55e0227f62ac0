"""Finalizers, which the garbage collector may run in the middle of anything.

Their code must wait for no lock. Before Python 3.12 it must set no context variable of the code
that it interrupts, which may be within `ContextVar.set`.
https://github.com/python/cpython/pull/97922
"""

from __future__ import annotations

import gc
from contextvars import ContextVar, copy_context
from threading import get_ident
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_is_apart: ContextVar[bool] = ContextVar("pantheon_obs_apart", default=False)

_collecting = 0  # the thread in which the garbage collector runs; 0 for none


def apart(work: Callable[..., object], *args: object) -> None:
    """Run the code of a finalizer in a copy of the context."""
    context = copy_context()
    context.run(_is_apart.set, True)  # noqa: FBT003 - the value of the variable
    context.run(work, *args)


def watch_collections() -> None:
    """Learn when the garbage collector runs: other finalizers than ours do not run `apart`."""
    gc.callbacks.append(_on_collection)


def _on_collection(phase: str, _: Mapping[str, int]) -> None:
    global _collecting  # noqa: PLW0603 - there is one collector
    _collecting = get_ident() if phase == "start" else 0


def in_finalizer() -> bool:
    """Whether a finalizer, ours or another one, may have called the code that runs."""
    return (_collecting != 0 and _collecting == get_ident()) or _is_apart.get()
