"""Records of other programs that say less than an event of ours; they are dropped.

`pantheon_obs.products` has the loggers. A record is dropped only if the logger of our event is on.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.failures import arrive, is_covered, is_logged, is_repeated, repeats
from pantheon_obs.core.installed import folder_of
from pantheon_obs.core.task import running
from pantheon_obs.products import BEGINNINGS, PRODUCTS
from pantheon_obs.sinks.redact.plain import described

if TYPE_CHECKING:
    from collections.abc import Callable

    Rule = Callable[[logging.LogRecord, BaseException | None], bool]

_REQUESTS = "pantheon_obs.request"
_TASKS = "pantheon_obs.task"
_OF_ACCESS = {"path", "client"}
_NO_FAILURE = ("ignored", "rejected")
_text_of: Callable[[Any], str] = logging.LogRecord.getMessage


def is_superseded(record: logging.LogRecord, error: BaseException | None) -> bool:
    """Whether an event of ours says, or will say, all that a record with this exception says.

    Never for a record without an exception whose logger is not in `RULES`.
    """
    if any(rule(record, error) for rule in RULES.get(record.name, ())):
        return True
    # Whichever server it is; the application's own lines are never repetitions.
    if error is not None and is_repeated(error) and folder_of(record.pathname) is not None:
        return True
    # A framework may say it on the application's own logger, which can have any name.
    announces = error is not None and _ANNOUNCEMENT.match(str(record.msg)) is not None
    return announces and has_event(error)


def has_event(error: BaseException | None) -> bool:
    """Whether the event of a request or task reports an exception, and is written."""
    return is_covered(error) and logging.getLogger(_REQUESTS).isEnabledFor(logging.ERROR)


def _is_repetition(_: logging.LogRecord, error: BaseException | None) -> bool:
    """Whether a server logs an exception that a line of ours carries."""
    arrive(error)
    return is_logged(error)


def _is_repetition_in_text(record: logging.LogRecord, error: BaseException | None) -> bool:
    """Whether a server logs as text an exception that a line of ours carries."""
    is_error = error is None and record.levelno >= logging.ERROR
    return is_error and repeats(record) and logging.getLogger(_REQUESTS).isEnabledFor(logging.ERROR)


def _is_access_line(record: logging.LogRecord, _: BaseException | None) -> bool:
    """Whether a record says which path a client has asked for."""
    known = str(record.msg).endswith(('"%s" %s %s', "%d %s %.2fms"))
    return known or (isinstance(record.args, dict) and record.args.keys() >= _OF_ACCESS)


def _is_task_end(record: logging.LogRecord, _: BaseException | None) -> bool:
    """Whether Celery logs the end of a task that `task_finished` reports.

    The application may have changed Celery's texts, so their arguments decide.
    """
    task = record.args
    if not isinstance(task, dict) or task.get("id") not in running:
        return False
    is_success = "return_value" in task
    is_failure = "traceback" in task and task.get("description") not in _NO_FAILURE
    level = logging.ERROR if is_failure else logging.INFO
    return (is_success or is_failure) and logging.getLogger(_TASKS).isEnabledFor(level)


def _is_lifespan_failure(record: logging.LogRecord, _: BaseException | None) -> bool:
    """Whether gunicorn's ASGI worker logs a failure that `lifespan_failed` reports."""
    is_on = logging.getLogger("pantheon_obs.lifespan").isEnabledFor(logging.ERROR)
    return is_on and described(record, _text_of).startswith(BEGINNINGS[record.name])


_KINDS: dict[str, Rule] = {
    # The lines of development servers about a request, and uvicorn's, have the query string.
    "access line": _is_access_line,
    "websocket line": lambda record, _: str(record.msg).startswith('%s - "WebSocket %s'),
    "unhandled error": lambda _, error: has_event(error),
    "task end": _is_task_end,
    "lifespan failure": _is_lifespan_failure,
    # billiard wraps the error in one of its own
    "task failure": lambda _, error: is_logged(getattr(error, "exc", error)),
}


def _rules() -> dict[str, tuple[Rule, ...]]:
    """Collect the rules for the records of each logger, by its name."""
    pairs: list[tuple[str, Rule]] = []
    for product in PRODUCTS:
        pairs += [(name, _is_repetition) for name in product.repeats]
        pairs += [(name, _is_repetition_in_text) for name in product.repeats_as_text]
        pairs += [(name, _KINDS[kind]) for name, kind in product.says_less]
    return {logger: tuple(rule for name, rule in pairs if name == logger) for logger, _ in pairs}


RULES = _rules()
_ANNOUNCEMENT = re.compile("|".join(product.announces for product in PRODUCTS if product.announces))
