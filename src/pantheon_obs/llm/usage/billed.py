"""Find the answer that a call has been billed for, although it raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.usage.fields import Reported
from pantheon_obs.llm.usage.shapes import read, read_message

if TYPE_CHECKING:
    from collections.abc import Iterator


def read_billed(error: BaseException, reported: Reported, *, in_frames: bool) -> None:
    """Read the answer that an exception carries, else that in the frames through which it came.

    An SDK's `parse()` raises if an answer was cut or does not fit, and some of its exceptions do
    not carry the answer. A gateway raises its own exception from that. `in_frames` must be False
    for the application's own frames: these may hold the answers of other calls.
    """
    for each in _causes_of(error):
        for value in [*vars(each).values(), *(_locals_of(each) if in_frames else ())]:
            if _has_usage(value):
                read(value, reported)
                return


def _causes_of(error: BaseException) -> list[BaseException]:
    """Return an exception, and those that it was raised from."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and cause not in causes:
        causes.append(cause)
    return causes


def _locals_of(error: BaseException) -> Iterator[Any]:
    traceback = error.__traceback__
    while traceback is not None:
        yield from traceback.tb_frame.f_locals.values()
        traceback = traceback.tb_next


def _has_usage(value: Any) -> bool:
    """Whether a value is an answer with a usage."""
    trial = Reported()
    if read_message(value, trial) is False:
        return False
    read(value, trial)
    return trial.usage_status != "missing"
