"""Tell a raise of an exception from a later raise of the same object, by its traceback."""

from __future__ import annotations

import dis
from threading import get_ident
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType, TracebackType

KEY = "_pantheon_obs_raise"
"""The attribute of an exception with its `Raise`."""

_HANDLER = dis.opmap["PUSH_EXC_INFO"]


def goes_on(error: BaseException | None) -> bool:
    """Whether an exception has not been raised again since this was asked last."""
    attributes = attributes_of(error)
    last = attributes.get(KEY)
    if isinstance(last, Raise) and not last.goes_on(error):
        return False
    attributes[KEY] = Raise(error)
    return True


def attributes_of(error: BaseException | None) -> dict[str, object]:
    """The exception's own attributes; a class may refuse to have any."""
    try:
        attributes = error.__dict__
    except Exception:  # noqa: BLE001 - then what is recorded of it is lost
        return {}
    return attributes if type(attributes) is dict else {}


class Raise:
    """How far an exception had come when it was reported.

    While one raise goes on, the traceback grows by frames that were on the stack, and by those that
    are called where the exception is handled. Any other growth is another raise.
    """

    def __init__(self, error: BaseException | None) -> None:
        self._entries = list(_entries(error))
        self._stack = {_key(frame) for frame in _callers(self._entries)}
        self._thread = get_ident()

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Pickle as None: an exception that is sent elsewhere has no traceback there."""
        return type(None), ()

    def goes_on(self, error: BaseException | None) -> bool:
        """Whether the exception has only been passed on since."""
        # It had not been raised yet, or a future has brought it here from its thread.
        if not self._entries or self._thread != get_ident():
            return True
        entries = list(_entries(error))
        same = next((n for n, entry in enumerate(entries) if entry in self._entries), None)
        if same is None:
            return False
        inner = self._entries[: self._entries.index(entries[same]) + 1]
        frames = {entry.tb_frame for entry in inner}  # through which it had come already
        is_called = False
        for entry in reversed(entries[:same]):
            frame = entry.tb_frame
            if _key(frame) not in self._stack:
                is_called = True
            elif (is_called or frame in frames) and not _handles(frame.f_code, entry.tb_lasti):
                return False
            else:
                is_called = False
                frames.add(frame)
        caller = next((each for each in _callers(entries) if _key(each) in self._stack), None)
        return not is_called or (caller is not None and _handles(caller.f_code, caller.f_lasti))


def _entries(error: BaseException | None) -> Iterator[TracebackType]:
    entry = None if error is None else error.__traceback__
    while entry is not None:
        yield entry
        entry = entry.tb_next


def _callers(entries: list[TracebackType]) -> Iterator[FrameType]:
    """Yield the outermost frame of a traceback, and its callers."""
    frame = entries[0].tb_frame if entries else None
    while frame is not None:
        yield frame
        frame = frame.f_back


def _key(frame: FrameType) -> tuple[int, int]:
    """Identify a frame without keeping its variables; another one may get its address later."""
    return id(frame), id(frame.f_code)


def _handles(code: CodeType, place: int) -> bool:
    """Whether an instruction is run while an exception is handled."""
    instructions: Any = dis.Bytecode(code)
    return any(
        code.co_code[each.start] == _HANDLER and each.start <= place < each.target
        for each in instructions.exception_entries
    )
