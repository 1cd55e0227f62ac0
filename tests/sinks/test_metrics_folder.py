"""The folder that workers share: what dead ones leave is counted once, whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from pantheon_obs.sinks.metrics import dead, registry
from pantheon_obs.sinks.metrics.dead import Folder
from pantheon_obs.sinks.metrics.exemplars import ExemplarFile, read

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 4_000_000  # more than the largest id of a process: proc(5), pid_max


def write(folder: Path, kind: str, pid: int, value: float) -> None:
    """Write a process's file with one value."""
    file: Any = MmapedDict(str(folder / f"{kind}_{pid}.db"))  # type: ignore[no-untyped-call]
    labels = {"histogram": ["le"]}.get(kind, [])
    name = {"histogram": "a_bucket", "counter": "a_total"}.get(kind, "a")
    file.write_value(mmap_key("a", name, labels, ["1.0"][: len(labels)], "An a."), value, 0.0)
    file.close()


def total(folder: Path) -> float:
    """The sum over all files, as a scrape has it."""
    collector: Any = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]
    with Folder(folder).locked():
        Folder(folder).settle()
        names = {"a_total", "a_bucket"}
        found = [s.value for m in collector.collect() for s in m.samples if s.name in names]
    return sum(found)


def own(folder: Path, pid: int) -> None:
    """Note an owner that has ended."""
    (folder / f"{pid}.owner").write_text(f"{dead._namespace()} 1")  # noqa: SLF001 - as one notes it


def test_the_files_of_the_dead_become_one_of_each_kind(tmp_path: Path) -> None:
    """Counters and histograms are added up; live gauges, exemplars and owners are removed."""
    for number in range(3):
        own(tmp_path, NOBODY + number)
        for kind in ("counter", "histogram", "gauge_livesum"):
            write(tmp_path, kind, NOBODY + number, 5)
        (tmp_path / f"{NOBODY + number}.exemplars").touch()

    assert 30 == total(tmp_path)

    assert {"counter_dead.db", "histogram_dead.db", "merge.lock"} == {
        path.name for path in tmp_path.iterdir()
    }
    assert 30 == total(tmp_path)


def test_files_of_running_processes_and_of_others_stay(tmp_path: Path) -> None:
    """In another namespace the same id belongs to another process."""
    write(tmp_path, "counter", NOBODY, 5)
    (tmp_path / f"{NOBODY}.owner").write_text("pid:[1] 1")
    write(tmp_path, "counter", os.getpid(), 5)
    Folder(tmp_path).enter()
    before = sorted(path.name for path in tmp_path.iterdir())

    assert 10 == total(tmp_path)

    assert before == sorted(path.name for path in tmp_path.iterdir())


class CrashError(Exception):
    """The process dies here."""


@pytest.fixture
def crash(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make the n-th change of a file the last one."""
    changes = {"left": -1}

    def limited(name: str) -> None:
        change = getattr(Path, name)

        def changed(*arguments: Any, **options: Any) -> Any:
            if changes["left"] == 0:
                raise CrashError
            changes["left"] -= 1
            return change(*arguments, **options)

        monkeypatch.setattr(Path, name, changed)

    for name in ("replace", "unlink", "write_text"):
        limited(name)
    yield lambda left: changes.update(left=left)
    changes["left"] = -1


def test_a_crash_between_any_two_steps_counts_nothing_twice(tmp_path: Path, crash: Any) -> None:
    """Whoever scrapes next finishes what was begun."""
    done = False
    for steps in range(30):
        folder = tmp_path / str(steps)
        folder.mkdir()
        own(folder, NOBODY)
        for kind in ("counter", "histogram"):
            write(folder, kind, NOBODY, 5)
            write(folder, kind, NOBODY + 1, 5)
        crash(steps)
        try:
            Folder(folder).bury(NOBODY)
            done = True
        except CrashError:
            pass
        crash(-1)

        assert 20 == total(folder)

    assert done


def test_a_new_process_of_the_same_id_begins_without_the_gauges(tmp_path: Path) -> None:
    """Its counters go on where those of the dead one ended: the sum is the same."""
    own(tmp_path, os.getpid())
    for kind in ("counter", "gauge_livesum"):
        write(tmp_path, kind, os.getpid(), 5)
    folder = Folder(tmp_path)

    folder.enter()
    folder.enter()

    assert 5 == total(tmp_path)
    assert not list(tmp_path.glob("gauge*"))


def test_a_system_without_proc_tells_the_running_from_the_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a signal that does nothing."""
    monkeypatch.setattr(dead, "_PROC", tmp_path / "none")
    monkeypatch.setattr(dead, "_locks", None)
    own(tmp_path, NOBODY)
    write(tmp_path, "counter", NOBODY, 5)
    Folder(tmp_path).enter()

    assert 5 == total(tmp_path)

    assert [f"{os.getpid()}.owner"] == [path.name for path in tmp_path.glob("*.owner")]


def test_the_newest_exemplar_of_a_bucket_is_kept(tmp_path: Path) -> None:
    """Each process has a file of its own, also after a fork."""
    file = ExemplarFile(tmp_path)
    file.keep(("a", "GET", 0), 0.1, "first")
    file.keep(("a", "GET", 1), 0.2, "other")
    file.keep(("a", "GET", 0), 0.3, "second")

    found = read(tmp_path)

    assert {("a", "GET", 0): (0.3, "second"), ("a", "GET", 1): (0.2, "other")} == {
        key: (kept.value, kept.trace_id) for key, kept in found.items()
    }
    assert [f"{os.getpid()}.exemplars"] == [path.name for path in tmp_path.iterdir()]


def test_of_several_files_the_newest_exemplar_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child process does not write into its parent's file."""
    file, other = ExemplarFile(tmp_path), ExemplarFile(tmp_path)
    file.keep(("a", 0), 0.1, "of the parent")
    file._begin()  # noqa: SLF001 - as another thread may in the meantime
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: NOBODY)
        other.keep(("b", 0), 0.1, "of the child")
        other.keep(("a", 0), 0.2, "of the child")
    file.keep(("b", 0), 0.2, "of the parent")
    (tmp_path / "empty.exemplars").touch()

    found = read(tmp_path)

    assert "of the child" == found["a", 0].trace_id
    assert "of the parent" == found["b", 0].trace_id


def test_a_file_that_is_full_keeps_what_it_has(tmp_path: Path) -> None:
    """It has room for thousands of buckets."""
    file = ExemplarFile(tmp_path)
    for number in range(40_000):
        file.keep(("a" * 60, number), 0.1, "x")
    file.keep(("a" * 60, 0), 0.2, "newest")

    found = read(tmp_path)

    assert 5_000 < len(found) < 40_000
    assert "newest" == found["a" * 60, 0].trace_id


def test_a_slot_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    """The numbers at its ends differ then."""
    ExemplarFile(tmp_path).keep(("a", 0), 0.1, "x")
    [path] = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[content.index(b'["a", 0]') + 8] ^= 1
    path.write_bytes(content)

    assert {} == read(tmp_path)


def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    """Whatever it holds."""
    ExemplarFile(tmp_path).keep(("a", 0), 0.1, "x")
    (tmp_path / "other.exemplars").write_bytes(b"\xff" * 12)

    assert 1 == len(read(tmp_path))


PROGRAM = """
import os
from pantheon_obs import instrument
from pantheon_obs.core import pipeline
from pantheon_obs.core.events import RequestFinished

def app(environ, start_response):
    return []

instrument(app, metrics_path="/metrics", log_format="json")
pipeline.emit(RequestFinished("trace", {}, "GET", "/", 200, 1.0, "ok"))
print(os.getpid())
"""


def test_the_hook_of_gunicorn_settles_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The master does it at once, and need not wait for a scrape."""
    pytest.importorskip("gunicorn")
    from pantheon_obs.adapters import gunicorn  # noqa: PLC0415 - not where it is missing

    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env, check=True, capture_output=True, text=True
    )
    pid = int(done.stdout.splitlines()[-1])
    assert (tmp_path / f"histogram_{pid}.db").exists()

    class Worker:
        """As gunicorn has it."""

        def __init__(self) -> None:
            self.pid = pid

    gunicorn.child_exit(None, Worker())  # without metrics it does nothing
    monkeypatch.setattr(registry, "_folder", Folder(tmp_path))
    gunicorn.child_exit(None, Worker())

    assert {"histogram_dead.db", "merge.lock"} == {path.name for path in tmp_path.iterdir()}
