"""Look on the stack of this thread for the caller, where nothing else identifies it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_below(*paths: str) -> bool:
    """Whether a method of one of these objects, or of an instance of these classes, is running.

    Each path is a dotted name. A class that is not imported is not running. The function reads the
    variables of each frame, so it is for set-up only.
    """
    wanted = [value for path in paths if (value := _imported(path)) is not None]
    classes = tuple(value for value in wanted if isinstance(value, type))
    return bool(wanted) and any(
        isinstance(caller, classes) or any(caller is value for value in wanted)
        for caller in _callers()
    )


def _imported(path: str) -> object:
    module, _, name = path.rpartition(".")
    return getattr(sys.modules.get(module), name, None)


def _callers() -> Iterator[Any]:
    """Yield the `self` of each method on the stack."""
    frame = sys._getframe(1)  # noqa: SLF001 - `inspect` reads the source of each frame
    while frame.f_back is not None:
        frame = frame.f_back
        if "self" in frame.f_code.co_varnames:
            yield frame.f_locals.get("self")
