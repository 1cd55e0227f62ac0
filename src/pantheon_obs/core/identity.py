"""Find the trace that an inbound request belongs to."""

from __future__ import annotations

from contextvars import Context
from typing import TYPE_CHECKING

from pantheon_obs.core import pipeline
from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.context import current_trace_id
from pantheon_obs.core.foreign import active_id
from pantheon_obs.core.guard import Guard, report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pantheon_obs.core.settings import Settings

    Headers = Iterable[tuple[bytes, bytes]]


class Identity:
    """Reads the id from a request's headers, or makes one, as the settings say."""

    __slots__ = ("_first", "_generate", "_readers", "_trusts")

    def __init__(self, settings: Settings) -> None:
        names = [name.lower().encode("ascii") for name in settings.inbound_headers]
        self._first = names[0] if names else b""
        self._readers: dict[bytes, Callable[[bytes], str | None]] = {
            name: ids.parser_for(name.decode()) if settings.trust_inbound else _refuse
            for name in names
        }
        self._generate = _checked(settings.id_generator) if settings.id_generator else None
        self._trusts = settings.trust_inbound

    def of(self, headers: Headers) -> str:
        """The id of the request with these headers, whose names are in lower case.

        The first valid one in the order of `inbound_headers` wins; of a header that was sent twice
        only the first counts.
        """
        readers = self._readers
        found: dict[bytes, str | None] | None = None
        try:
            for name, value in headers:
                if name in readers:
                    if found is None:
                        found = {}
                    if name not in found:
                        found[name] = accepted = readers[name](value)
                        if accepted is not None and name == self._first:
                            return accepted
            if found is not None:
                for name in readers:
                    accepted = found.get(name)
                    if accepted is not None:
                        return accepted
                trace_id = self._fresh(headers)
                # Nothing that an earlier request has left in this context belongs to the new trace.
                Context().run(_refused, ", ".join(name.decode() for name in found), trace_id)
                return trace_id
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
            report("identity", error)
        return self._fresh(headers)

    def _fresh(self, headers: Headers) -> str:
        """An id for a request that has brought none."""
        if self._generate is not None:
            return self._generate()
        known = active_id()
        if known is None and pipeline.adopting:
            known = pipeline.adopted_id(headers, trusted=self._trusts)
        return known or ids.generate()


def _refused(source: str, trace_id: str) -> None:
    current_trace_id.set(trace_id)
    ids.refused(source)


def _refuse(_: bytes) -> None:
    """Read nothing: inbound ids are not trusted."""


def new_id() -> str:
    """Make a fresh id: that of the trace that another tracer has active here, else a random one."""
    return active_id() or ids.generate()


def _checked(generator: Callable[[], object]) -> Callable[[], str]:
    """Guard the application's generator: where it fails, or makes no valid id, ours makes one."""
    guard = Guard("id_generator")

    def generate() -> str:
        with guard:
            return ids.made_by("id_generator", generator())
        return new_id()

    return generate
