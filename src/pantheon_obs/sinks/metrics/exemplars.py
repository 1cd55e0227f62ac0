"""Keep the newest exemplar of each bucket, also where several processes share a folder.

`prometheus_client` drops exemplars in its multi-process mode
(https://github.com/prometheus/client_python/issues/648). So each process keeps its own in a
memory-mapped file, a sequence of records: a bucket's key, and a slot that is written in place.
"""

from __future__ import annotations

import json
import mmap
from bisect import bisect_left
from importlib import import_module
from itertools import count
from struct import Struct
from threading import Lock
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

from pantheon_obs.core.guard import Guard, report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SUFFIX = ".exemplars"  # not the suffix of the files that prometheus_client reads
_LONGEST = 128 - len("trace_id")  # characters, by OpenMetrics
_SIZE = 2 * 1024 * 1024  # bytes; the file is sparse
_HEAD = Struct("<II")  # the lengths of the key and of the record
_SLOT = Struct("<IddB120sI")  # with the same number at both ends unless it is being written

_guard = Guard("exemplars")


class Kept(NamedTuple):
    """An observation that leads to a trace."""

    value: float
    moment: float  # seconds since the epoch
    trace_id: str


class ExemplarFile:
    """The exemplars of this process; a child process, of another name, begins its own file."""

    def __init__(self, folder: Path, name: Callable[[], str]) -> None:
        self._folder = folder
        self._name = name
        self._lock = Lock()
        self._numbers = count(1)
        self._owner = ""

    def keep(self, key: tuple[Any, ...], value: float, trace_id: str) -> None:
        """Keep the newest exemplar of a bucket; without effect once the file is full."""
        name = self._name()
        if self._owner != name:
            self._begin(name)
        offset = self._offsets.get(key)
        if offset is None:
            offset = self._add(key)
        if offset:
            number, raw = next(self._numbers) & 0xFFFFFFFF, trace_id.encode("ascii", "replace")
            _SLOT.pack_into(self._map, offset, number, value, time(), len(raw), raw, number)

    def _begin(self, name: str) -> None:
        with self._lock:
            if self._owner == name:
                return
            path = self._folder / f"{name}{SUFFIX}"
            with path.open("w+b") as file:
                file.truncate(_SIZE)
                self._map = mmap.mmap(file.fileno(), _SIZE)
            self._offsets: dict[tuple[Any, ...], int] = {}
            self._end = 0
            self._owner = name

    def _add(self, key: tuple[Any, ...]) -> int:
        """Append a record, and return where its slot is; 0 if there is no room."""
        with self._lock:
            raw = json.dumps(key).encode()
            start, length = self._end, _HEAD.size + len(raw) + _SLOT.size
            if start + length + _HEAD.size > _SIZE:
                return self._offsets.setdefault(key, 0)
            slot = start + _HEAD.size + len(raw)
            self._map[start + _HEAD.size : slot] = raw
            _HEAD.pack_into(self._map, start, len(raw), length)  # last: now it is there
            self._end = start + length
            return self._offsets.setdefault(key, slot)


def value_in_memory() -> type[Any]:
    """Make the class of values that keep an exemplar, which a scrape brings into its form."""
    values = import_module("prometheus_client.values")
    exemplar = import_module("prometheus_client.samples").Exemplar

    class Value(values.MutexValue):  # type: ignore[misc,name-defined]
        kept: tuple[float, float, str] | None = None

        def get_exemplar(self) -> Any:  # noqa: ANN401 - of prometheus_client
            if self.kept is None:
                return None
            seconds, moment, trace_id = self.kept
            return exemplar({"trace_id": trace_id}, seconds, moment)

    return Value


class Histogram:
    """A histogram with the labels of one child; observations may come with a trace id."""

    def __init__(self, child: Any, key: tuple[Any, ...], file: ExemplarFile | None) -> None:  # noqa: ANN401 - of prometheus_client
        # There is no public way to a bucket, and `observe` looks for it one after the other.
        self._bounds: list[float] = child._upper_bounds  # noqa: SLF001
        self._buckets: list[Any] = child._buckets  # noqa: SLF001
        self._counts = [bucket.inc for bucket in self._buckets]
        self._sum = child._sum.inc  # noqa: SLF001
        shown = import_module("prometheus_client.utils").floatToGoString
        self._keys = [(*key, shown(bound)) for bound in self._bounds]
        self._file = file

    def observe(self, seconds: float, trace_id: str = "") -> None:
        """Observe a duration."""
        self._sum(seconds)
        bucket = bisect_left(self._bounds, seconds)
        self._counts[bucket](1)
        if not trace_id or len(trace_id) > _LONGEST:
            return
        if self._file is None:
            self._buckets[bucket].kept = seconds, time(), trace_id
        else:
            try:
                self._file.keep(self._keys[bucket], seconds, trace_id)
            except Exception as error:  # noqa: BLE001 - the folder may be gone
                report("exemplars", error)


def read(folder: Path) -> dict[tuple[Any, ...], Kept]:
    """Read the newest exemplar of each bucket: by metric, label values and upper bound."""
    found: dict[tuple[Any, ...], Kept] = {}
    for path in folder.glob(f"*{SUFFIX}"):
        with _guard:
            for key, kept in _records(path.read_bytes()):
                before = found.get(key)
                if before is None or before.moment < kept.moment:
                    found[key] = kept
    return found


def _records(content: bytes) -> Iterator[tuple[tuple[Any, ...], Kept]]:
    start = 0
    while start + _HEAD.size <= len(content):
        key_length, length = _HEAD.unpack_from(content, start)
        if not length:
            return
        slot = start + _HEAD.size + key_length
        number, value, moment, id_length, raw, same = _SLOT.unpack_from(content, slot)
        if number == same != 0:  # else it is being written
            key = tuple(json.loads(content[start + _HEAD.size : slot]))
            yield key, Kept(value, moment, raw[:id_length].decode("ascii", "replace"))
        start += length
