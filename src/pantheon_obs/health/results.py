"""Refuse functions that check nothing, judge checks' return values, and report the results."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Coroutine, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pantheon_obs.core.errors import ObsError, refuse

Status = Literal["pass", "warn", "fail"]

_SHOWN = 500  # characters of an error's text in the answer to a probe
_CLIENT_ERROR = 400


class CheckFailedError(ObsError):
    """A check has returned a value that says that it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The result of one check.

    Attributes:
        name: The check's name.
        critical: Whether the service is not ready while it fails.
        latency_ms: From its start to its end, or until now if it still runs.
        error_type: The bare class name of the error; None if it passed.
        error: The error's text; None if it passed.
    """

    name: str
    critical: bool
    latency_ms: float
    error_type: str | None = None
    error: str | None = None

    @property
    def status(self) -> Status:
        """Return `pass` or `fail`."""
        return "pass" if self.error_type is None else "fail"


@dataclass(frozen=True, slots=True)
class Report:
    """The results of all checks.

    Attributes:
        results: One per check, in the order in which they were added.
        draining: Whether the service is shutting down; no check has run then.
    """

    results: tuple[CheckResult, ...] = ()
    draining: bool = False

    @property
    def status(self) -> Status:
        """Return `fail` if a critical check fails or the service drains, else `warn` or `pass`."""
        failing = [result for result in self.results if result.status == "fail"]
        if self.draining or any(result.critical for result in failing):
            return "fail"
        return "warn" if failing else "pass"

    def as_dict(self, *, details: bool = False) -> dict[str, Any]:
        """Make the answer's JSON object, with the names of draft-inadarei-api-health-check-06.

        Args:
            details: Whether it has the text of errors, as `output`.
        """
        checks: dict[str, dict[str, Any]] = {}
        for result in self.results:
            checks[result.name] = {"status": result.status, "latency_ms": result.latency_ms}
            if details and result.error is not None:
                checks[result.name]["output"] = f"{result.error_type}: {result.error}"[:_SHOWN]
        return {"status": self.status, "checks": checks}


def refuse_unless_check(name: str, function: Any) -> None:
    """Refuse an object that, called without arguments, would always fail, or always pass."""
    if not callable(function):
        accepted = "a callable without arguments: a function itself, not what it returns"
    elif _is_generator_function(function):
        accepted = "a function that returns: a generator's code runs only if it is iterated over"
    elif inspect.isclass(function) and any("__call__" in vars(base) for base in function.__mro__):
        accepted = f"an instance: {function.__name__}()"
    elif _needs_arguments(function):
        called = getattr(function, "__name__", type(function).__name__)
        called = name if called == "<lambda>" else called
        accepted = f"a callable without arguments: lambda: {called}(…), or what {called}(…) returns"
    else:
        return
    refuse(name, function, accepted)


def _is_generator_function(function: Any) -> bool:
    calls = (function, getattr(type(function), "__call__", None))  # noqa: B004 - to look at its code
    return any(inspect.isgeneratorfunction(c) or inspect.isasyncgenfunction(c) for c in calls)


def _needs_arguments(function: Any) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some callables of C have no signature
        return False
    try:
        signature.bind()
    except TypeError:
        return True
    return False


def raise_if_failed(answer: object) -> None:
    """Raise `CheckFailedError` if a check's return value says that it has failed.

    Many check functions return their verdict instead of raising: a bool, a count, a tuple that
    begins with the verdict, a mapping in the style of health endpoints, an HTTP response.
    """
    failing = None if answer is None else _failing(answer)
    if failing is not None:
        msg = f"the check returned {failing}"
        raise CheckFailedError(msg)


def _failing(answer: object) -> str | None:
    """Describe an answer that says that a check has failed, without its content; else None."""
    if isinstance(answer, Generator | AsyncGenerator):
        return "a generator, and nothing in it has run: return the result"
    if isinstance(answer, Coroutine):
        return "a coroutine, and nothing in it has run: await it"
    verdict: object = answer
    if isinstance(answer, Mapping):
        if str(answer.get("status")).lower() == "fail":
            verdict = False
        elif "ok" in answer:
            verdict = answer["ok"]
    elif isinstance(answer, tuple) and answer:
        verdict = answer[0]
    else:
        status = getattr(answer, "status_code", getattr(answer, "status", None))
        if isinstance(status, int) and status >= _CLIENT_ERROR:
            return f"a response with the status {int(status)}"
    if verdict:
        return None
    # Values other than numbers may be secret.
    return repr(answer) if isinstance(answer, int | float) else f"a failing {type(answer).__name__}"
