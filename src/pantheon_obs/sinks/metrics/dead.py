"""Add up the metrics that dead processes have left in the folder of the multi-process mode.

Their counters and histograms are added to one file of each kind, so that totals stay and the folder
does not grow; their gauges and exemplars are removed. A process is known by its id, the time at
which it started, and its namespace: containers that share a folder have the same ids.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pantheon_obs.sinks.metrics.exemplars import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

_locks: Any = import_module("fcntl") if os.name == "posix" else None
_OWNER = ".owner"
_PROC = Path("/proc")
_KINDS = ("counter", "histogram", "summary")
_START_TIME = 19  # of the fields after the command's name in /proc/[pid]/stat: proc(5)


class Folder:
    """The folder that processes share."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = path / "merge.json"
        self._entered = 0  # the id of a process

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from changing what belongs to dead ones."""
        if _locks is None:
            yield
            return
        with (self.path / "merge.lock").open("ab") as file:
            _locks.flock(file, _locks.LOCK_EX)
            yield

    def enter(self) -> None:
        """Note once the owner of this process's files, which an earlier one of its id may have had.

        Its counters go on then; its gauges have no end.
        """
        pid = os.getpid()
        if self._entered == pid:
            return
        self._entered = pid
        with self.locked():
            owner = self.path / f"{pid}{_OWNER}"
            if owner.exists() and owner.read_text() != _identity(pid):
                for gauges in self.path.glob(f"gauge_live*_{pid}.db"):
                    gauges.unlink()
            owner.write_text(_identity(pid))

    def settle(self) -> None:
        """Finish what was begun, and add up what dead processes have left."""
        self._finish()
        for owner in self.path.glob(f"*{_OWNER}"):
            pid, identity = int(owner.stem), owner.read_text()
            is_ours = identity.partition(" ")[0] == _namespace()
            if is_ours and identity != _identity(pid):
                self._bury(pid)

    def bury(self, pid: int) -> None:
        """Do so for one process that has ended."""
        with self.locked():
            self._finish()
            self._bury(pid)

    def _bury(self, pid: int) -> None:
        names = [f"{kind}_{pid}.db" for kind in _KINDS if (self.path / f"{kind}_{pid}.db").exists()]
        replaced = [self._added_up(name) for name in names]
        names += [path.name for path in self.path.glob(f"gauge_live*_{pid}.db")]
        names += [f"{pid}{SUFFIX}", f"{pid}{_OWNER}"]
        # From here on all of it happens, or nothing: whoever comes next finishes it.
        written = self.path / "merge.tmp"
        written.write_text(json.dumps({"replace": replaced, "remove": names}))
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

    def _added_up(self, name: str) -> tuple[str, str]:
        """Write the sum of a dead process's file and of those before; the names of both files."""
        mmap_dict = import_module("prometheus_client.mmap_dict")
        multiprocess = import_module("prometheus_client.multiprocess")
        kind = name.partition("_")[0]
        total, made = f"{kind}_dead.db", f"{kind}_dead.tmp"
        (self.path / made).unlink(missing_ok=True)
        files = [str(self.path / each) for each in (total, name) if (self.path / each).exists()]
        sums = mmap_dict.MmapedDict(str(self.path / made))
        for metric in multiprocess.MultiProcessCollector.merge(files, accumulate=False):
            for sample in metric.samples:
                names, values = list(sample.labels), list(sample.labels.values())
                text = metric.documentation
                key = mmap_dict.mmap_key(metric.name, sample.name, names, values, text)
                sums.write_value(key, sample.value, 0.0)
        sums.close()
        return made, total


def _namespace() -> str:
    """A name that processes share if each of them knows the others' ids."""
    with suppress(OSError):
        return os.readlink(_PROC / "self/ns/pid")  # noqa: PTH115 - not a path
    return sys.platform


def _identity(pid: int) -> str:
    """The namespace of a process and when it started; the latter is empty if it does not run."""
    started = ""
    try:
        stat = (_PROC / f"{pid}/stat").read_text()
        started = stat.rpartition(")")[2].split()[_START_TIME]
    except OSError:
        if not (_PROC / "self/stat").exists():  # another system than Linux
            with suppress(OSError):
                os.kill(pid, 0)
                started = "running"
    return f"{_namespace()} {started}"
