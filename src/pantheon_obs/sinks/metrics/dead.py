"""Add up the metrics that dead processes have left in the folder of the multi-process mode.

Their counters and histograms are added to one file of each kind, so that totals stay and the folder
does not grow; their gauges and exemplars are removed. Each process gives its files a name of its
own, because containers that share a folder have the same process ids, and holds the lock of a file
of that name until it ends: fcntl(2), "advisory record locking", which no child process inherits.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from importlib import import_module
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import report
from pantheon_obs.sinks.metrics.exemplars import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_getpid = os.getpid
_locks: Any = import_module("fcntl") if os.name == "posix" else None
_OWNER = ".owner"
_KINDS = ("counter", "histogram", "summary")


class Folder:
    """The folder that processes share."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = path / "merge.json"
        self._pid = 0
        self._name = ""
        self._file = -1  # the descriptor of the file whose lock this process holds

    def name(self) -> str:
        """Name this process among all that share the folder; at first say that it lives.

        It is called for each change of a value: a child process finds out here that it is one.
        """
        pid = _getpid()
        if pid != self._pid:
            self._pid, self._name = pid, f"{pid}-{token_hex(8)}"
            self._enter()
        return self._name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes and threads from changing the files of dead processes."""
        if _locks is None:
            yield
            return
        with (self.path / "merge.lock").open("ab") as file:
            _locks.flock(file, _locks.LOCK_EX)
            try:
                yield
            finally:  # closing is not enough: a child process may have inherited the file
                _locks.flock(file, _locks.LOCK_UN)

    def _enter(self) -> None:
        self.leave()
        with self.locked():
            path = self.path / f"{self._name}{_OWNER}"
            self._file = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
            if _locks is not None:
                _locks.lockf(self._file, _locks.LOCK_EX)

    def leave(self) -> None:
        """Release the lock; a child process closes the file that it has inherited."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def settle(self, pid: int | None = None) -> None:
        """Finish an addition that was begun, and add up the files of dead processes, or of one."""
        self._finish()
        own = f"{self._name}{_OWNER}"  # opening that file and closing it would release the lock
        for owner in self.path.glob("*" if pid is None else f"{pid}-*"):
            if owner.suffix == _OWNER and owner.name != own and _is_free(owner):
                self._settle_one(owner.stem)

    def _settle_one(self, name: str) -> None:
        names = [name]
        pid = name.partition("-")[0]
        # The metrics that are the application's own are in files that are named by the process id.
        if len([*self.path.glob(f"{pid}-*{_OWNER}")]) == 1:
            names.append(pid)
        counts = [f"{kind}_{each}.db" for kind in _KINDS for each in names]
        counts = [each for each in counts if (self.path / each).exists()]
        replaced = [self._added_up(kind, counts) for kind in _KINDS]
        gauges = [each for name in names for each in self.path.glob(f"gauge_live*_{name}.db")]
        removed = [*counts, *(each.name for each in gauges), f"{name}{SUFFIX}", f"{name}{_OWNER}"]
        # From here on all of it happens, or nothing: the next process finishes it.
        written = self.path / "merge.tmp"
        work = {"replace": [each for each in replaced if each], "remove": removed}
        written.write_text(json.dumps(work))
        written.replace(self._journal)
        self._finish()

    def _finish(self) -> None:
        if not self._journal.exists():
            return
        work = json.loads(self._journal.read_text())
        for made, name in work["replace"]:
            with suppress(FileNotFoundError):  # it was replaced before
                (self.path / made).replace(self.path / name)
        for name in work["remove"]:
            (self.path / name).unlink(missing_ok=True)
        self._journal.unlink()

    def _added_up(self, kind: str, names: list[str]) -> tuple[str, str] | None:
        """Write the sum of a dead process's files and of those before; name the new and old sum."""
        files = [self.path / name for name in names if name.startswith(f"{kind}_")]
        files = list(filter(is_readable, files))
        if not files:
            return None
        mmap_dict = import_module("prometheus_client.mmap_dict")
        multiprocess = import_module("prometheus_client.multiprocess")
        total, made = f"{kind}_dead.db", f"{kind}_dead.tmp"
        (self.path / made).unlink(missing_ok=True)
        if (self.path / total).exists():
            files.append(self.path / total)
        sums = mmap_dict.MmapedDict(str(self.path / made))
        merged = multiprocess.MultiProcessCollector.merge(map(str, files), accumulate=False)
        for metric in merged:
            for sample in metric.samples:
                labels, values = list(sample.labels), list(sample.labels.values())
                text = metric.documentation
                key = mmap_dict.mmap_key(metric.name, sample.name, labels, values, text)
                sums.write_value(key, sample.value, 0.0)
        sums.close()
        return made, total


def is_readable(file: Path) -> bool:
    """Whether a file has metrics; one that a process was just making is empty."""
    collector = import_module("prometheus_client.multiprocess").MultiProcessCollector
    try:
        if file.stat().st_size:
            collector.merge([str(file)])
            return True
    except FileNotFoundError:  # another process has added it up meanwhile
        return False
    except OSError:  # too many open files, say: it can be read another time
        raise
    except Exception as error:  # noqa: BLE001 - it may contain anything
        report("metrics folder", error)
    return False


def _is_free(owner: Path) -> bool:
    """Whether the process that held the lock of a file has ended."""
    if _locks is None:  # on Windows it is not known
        return False
    try:
        file = os.open(owner, os.O_RDWR)
    except OSError:  # it belongs to another user
        return False
    try:
        _locks.lockf(file, _locks.LOCK_EX | _locks.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(file)
    return True
