"""Count the lifespans of ASGI applications, whose end drains."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType


class Lifespans:
    """Counts the lifespans of one or more applications."""

    def __init__(self) -> None:
        self._running = 0
        self._over = False
        self._tasks: list[asyncio.Task[Any]] = []

    def begin(self, task: asyncio.Task[Any] | None = None) -> None:
        """Count a lifespan that begins. If only its task is known, the task's end is a shutdown."""
        self._running += 1
        self._over = False
        if task is not None:
            self._tasks.append(task)

    def end(self, *, shutdown: bool) -> None:
        """Count a lifespan that ends: by a shutdown, or because the application has none."""
        self._running -= 1
        self._over = shutdown and not self._running

    @property
    def running(self) -> bool:
        """Whether a lifespan runs."""
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.remove(task)
            self.end(shutdown=True)
        return self._running > 0

    @property
    def over(self) -> bool:
        """Whether a shutdown has ended the last lifespan."""
        return not self.running and self._over


def current_lifespan() -> asyncio.Task[Any] | None:
    """Return the task of the lifespan from within which this code is called; None elsewhere."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - nothing else knows the callers
    while frame is not None:
        if any(map(_is_lifespan, tuple(frame.f_locals.values()))):
            with suppress(RuntimeError):  # the loop is not asyncio's
                return asyncio.current_task()
        frame = frame.f_back
    return None


def _is_lifespan(value: object) -> bool:
    kind = value.get("type") if type(value) is dict else None
    return type(kind) is str and kind == "lifespan"
