"""Answers that are made in the background: their call ends at once, their tokens come later.

The application asks for such an answer again and again. It is reported once: by the first call that
gets it with its usage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.usage.fields import field, text

if TYPE_CHECKING:
    from pantheon_obs.llm.usage.fields import Reported

_PENDING = frozenset({"queued", "in_progress"})
_MOST = 10_000  # ids are kept, the oldest are forgotten
_pending: dict[str, None] = {}
_reported: dict[str, None] = {}


def set_job(reported: Reported, value: Any, status: str | None) -> None:
    """Keep the id of an answer that may be made in the background."""
    reported.job = text(field(value, "id"))
    reported.in_background = status in _PENDING or field(value, "background") is True


def is_told(reported: Reported, *, retrieved: bool) -> bool:
    """Whether the call that has this answer is to be reported, or was before."""
    job = reported.job
    if job is None:
        return not retrieved
    known = reported.usage_status != "missing"
    if not retrieved:
        if reported.in_background:
            _keep(_reported if known else _pending, job)
        return True
    if not known or job in _reported or not (reported.in_background or job in _pending):
        return False
    _pending.pop(job, None)
    _keep(_reported, job)
    return True


def reset() -> None:
    """Forget all answers (used by `pantheon_obs.testing.reset`)."""
    _pending.clear()
    _reported.clear()


def _keep(ids: dict[str, None], job: str) -> None:
    """Keep an id. No lock: a finalizer may run this, and must not wait."""
    ids[job] = None
    while len(ids) > _MOST:
        ids.pop(next(iter(tuple(ids))), None)
