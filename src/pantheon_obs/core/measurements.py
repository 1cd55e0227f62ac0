"""Facts that sinks may count, although they make no log line, or not each of them."""

from __future__ import annotations

from typing import Any, ClassVar, dataclass_transform


@dataclass_transform(kw_only_default=True, eq_default=False)
class Fact:
    """A fact that gets its fields by name; type checkers ask for those without a default.

    The code of a dataclass is compiled at each start: 1 ms, as long as importing five modules.
    Facts that come with each request or call are made by `__new__`, and get only the fields that
    differ from their defaults.

    Attributes:
        created: When it happened; None means now, as it is reported at once.
        traceback: That of its exception; None means the exception's own.
        outside: Names of the fields whose text is not ours: it may contain a secret.
    """

    created: ClassVar[None] = None
    traceback: ClassVar[None] = None
    outside: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **fields: Any) -> None:  # noqa: ANN401 - declared by each class
        vars(self).update(fields)


class CheckEnded(Fact):
    """A health check has ended, or timed out."""

    check: str
    passed: bool
    seconds: float


class LinesDropped(Fact):
    """The queue of log lines had no room for some; `levels` has their number by level."""

    levels: dict[str, int]


class TelemetryFailed(Fact):
    """Code of this library has raised at a site, and the guard has swallowed it."""

    site: str


class Operation(Fact):
    """A measured call within a request, websocket or task has ended.

    Attributes:
        name: `db`, `http` or `cache`, or the application's own name for it.
        seconds: Its wall time; of an outgoing request until the response's headers are there.
        error_type: The class name of the exception that it ended with.
        system: The database system, as in `db.system.name` of the semantic conventions.
        method: The method of an outgoing request.
        status_code: The status of the response to it.
        server_address: The host that it went to.
    """

    name: str
    seconds: float
    error_type: str | None = None
    system: str = ""
    method: str = ""
    status_code: int | None = None
    server_address: str = ""


Measurement = CheckEnded | LinesDropped | TelemetryFailed
