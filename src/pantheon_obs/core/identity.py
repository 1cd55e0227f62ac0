"""Find the trace that an inbound request belongs to."""

from __future__ import annotations

import sys
from contextvars import Context
from typing import TYPE_CHECKING

from pantheon_obs.core import foreign, pipeline
from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.context import current_trace_id
from pantheon_obs.core.foreign import active_id
from pantheon_obs.core.guard import Guard, report
from pantheon_obs.core.in_force import generator_in_force
from pantheon_obs.core.spans import BAGGAGE, TRACEPARENT, TRACESTATE, Upstream, upstream_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pantheon_obs.core.settings import Settings

    Headers = Sequence[tuple[bytes, bytes]]


PASSED_ON = (TRACEPARENT, TRACESTATE, BAGGAGE)
"""The headers of a caller that go on to other services."""

_PASSED_ON = frozenset(name.encode() for name in PASSED_ON)


class Identity:
    """Reads the id from a request's headers, or makes one, as the settings say.

    Attributes:
        plain: The context that goes on to other services if a request brings nothing to pass on.
    """

    __slots__ = ("_generate", "_names", "_nothing", "_readers", "_trusts", "_usual", "plain")

    def __init__(self, settings: Settings) -> None:
        names = [name.lower().encode("ascii") for name in settings.inbound_headers]
        self._readers: dict[bytes, Callable[[bytes], str | None]] = {
            name: ids.parser_for(name.decode()) if settings.trust_inbound else _refuse
            for name in names
        }
        self._generate = _checked(settings.id_generator) if settings.id_generator else None
        self._trusts = settings.trust_inbound
        self._nothing = Upstream(fields=settings.baggage_fields)
        self.plain = self._nothing if settings.baggage_fields else None
        # The only header that most callers send, if any.
        self._usual = next((name for name in names[:1] if name not in _PASSED_ON), b"")
        self._names = frozenset(names) | (_PASSED_ON if settings.trust_inbound else frozenset())

    def of(self, headers: Headers) -> str:
        """The id of the request with these headers, whose names are in lower case."""
        return self.read(headers)[0]

    def read(self, headers: Headers) -> tuple[str, Upstream | None]:
        """The id of the request with these headers, and the context that its caller passes on.

        Their names are in lower case. The first valid one in the order of `inbound_headers` wins;
        of a header that was sent twice only the first counts.
        """
        try:
            names = self._names
            there: dict[bytes, bytes] = {}
            for name, value in headers:  # a dict of all would take four times as long
                if name in names:
                    there.setdefault(name, value)
            if there:
                usual = self._usual
                accepted = None
                if len(there) == 1 and usual in there:
                    accepted = self._readers[usual](there[usual])
                return self._read(there, headers) if accepted is None else (accepted, self.plain)
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
            report("identity", error)
        return self._fresh(headers), self.plain

    def _read(self, there: dict[bytes, bytes], headers: Headers) -> tuple[str, Upstream | None]:
        upstream = self.plain
        if self._trusts and not _PASSED_ON.isdisjoint(there):
            passed_on = ((name.decode(), each) for name, each in headers if name in _PASSED_ON)
            upstream = upstream_of(passed_on, self._nothing) or self.plain
        for name, reader in self._readers.items():
            if name in there:
                accepted = reader(there[name])
                if accepted is not None:
                    return accepted, upstream
        trace_id = self._fresh(headers)
        sources = ", ".join(name.decode() for name in self._readers if name in there)
        if sources:
            # Nothing that an earlier request has left in this context belongs to the new trace.
            Context().run(_refused, sources, trace_id)
        return trace_id, upstream

    def _fresh(self, headers: Headers) -> str:
        """An id for a request that has brought none."""
        if self._generate is not None:
            return self._generate()
        known = active_id() if foreign.tracer in sys.modules else None
        if known is None and pipeline.adopting:
            known = pipeline.adopted_id(headers, trusted=self._trusts)
        return known or ids.generate()


def _refused(source: str, trace_id: str) -> None:
    current_trace_id.set(trace_id)
    ids.refused(source)


def _refuse(_: bytes) -> None:
    """Read nothing: inbound ids are not trusted."""


def new_id() -> str:
    """Make a fresh id outside of requests, as the `id_generator` in force does, if there is one."""
    generator = generator_in_force()
    return _random_id() if generator is None else _checked(generator)()


def _random_id() -> str:
    """The id of another tracer's active trace here, else a random id."""
    return active_id() or ids.generate()


def _checked(generator: Callable[[], object]) -> Callable[[], str]:
    """Guard the application's generator: where it fails, or makes no valid id, ours makes one."""
    guard = Guard("id_generator")

    def generate() -> str:
        with guard:
            return ids.made_by("id_generator", generator())
        return _random_id()

    return generate
