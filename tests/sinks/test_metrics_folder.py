"""The folder that workers share: files of dead ones count once, whatever happens."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from pantheon_obs import configure_logging, instrument
from pantheon_obs.core import pipeline
from pantheon_obs.sinks.metrics import dead
from pantheon_obs.sinks.metrics.dead import Folder
from pantheon_obs.sinks.metrics.exemplars import ExemplarFile, read
from pantheon_obs.sinks.metrics.joined import JoinedCollector
from pantheon_obs.testing import capture_events, reset
from tests.support.events import request_finished

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 4_000_000  # more than the largest id of a process: proc(5), pid_max


def application(environ: Any, start_response: Any) -> list[bytes]:
    """Answer nothing."""
    return []


def write(folder: Path, kind: str, name: object, value: float) -> None:
    """Write a process's file with one value."""
    file: Any = MmapedDict(str(folder / f"{kind}_{name}.db"))  # type: ignore[no-untyped-call]
    labels = {"histogram": ["le"]}.get(kind, [])
    sample = {"histogram": "a_bucket", "counter": "a_total"}.get(kind, "a")
    file.write_value(mmap_key("a", sample, labels, ["1.0"][: len(labels)], "An a."), value, 0.0)
    file.close()


def shown(folder: Path) -> float:
    """The sum over all files."""
    collector: Any = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]
    names = {"a_total", "a_bucket"}
    return sum(s.value for m in collector.collect() for s in m.samples if s.name in names)


def total(folder: Path) -> float:
    """Return the sum over all files after the dead workers' files are merged, as in a scrape."""
    with Folder(folder).locked():
        Folder(folder).settle()
    return shown(folder)


def own(folder: Path, number: int) -> str:
    """Say that a process owns the files of its name; it has ended, as nobody holds the lock."""
    name = f"{number}-x"  # no hex digit: no other name begins so
    (folder / f"{name}.owner").touch()
    return name


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """The folder of this process, which lives."""
    folder = Folder(tmp_path)
    folder.name()
    yield folder
    folder.leave()


def test_the_files_of_the_dead_become_one_of_each_kind(tmp_path: Path) -> None:
    """Counters and histograms are added up; live gauges, exemplars and owners are removed."""
    for number in range(3):
        name = own(tmp_path, NOBODY + number)
        for kind in ("counter", "histogram", "gauge_livesum"):
            write(tmp_path, kind, name, 5)
        # The application's own metrics are in a file of the process's id.
        write(tmp_path, "counter", NOBODY + number, 5)
        (tmp_path / f"{name}.exemplars").touch()

    assert 45 == total(tmp_path)

    assert {"counter_dead.db", "histogram_dead.db", "merge.lock"} == {
        path.name for path in tmp_path.iterdir()
    }
    assert 45 == total(tmp_path)


HOLDER = """
import sys
from pathlib import Path
from pantheon_obs.sinks.metrics.dead import Folder
print(Folder(Path(sys.argv[1])).name(), flush=True)
sys.stdin.read()
"""


def test_files_of_running_processes_stay_until_they_end(tmp_path: Path, folder: Folder) -> None:
    """A child process does not keep its parent alive, nor the parent's lock."""
    write(tmp_path, "counter", folder.name(), 5)
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        other = process.stdout.readline().strip()
        write(tmp_path, "counter", other, 5)
        write(tmp_path, "gauge_livesum", other, 5)
        before = sorted(path.name for path in tmp_path.iterdir())

        with folder.locked():
            folder.settle()
        assert before == sorted(path.name for path in tmp_path.iterdir())
        process.stdin.close()

    with folder.locked():
        folder.settle()
    assert 10 == shown(tmp_path)
    assert [] == [path for path in tmp_path.iterdir() if other in path.name]
    assert (tmp_path / f"counter_{folder.name()}.db").exists()


def test_of_two_processes_with_one_id_the_living_one_keeps_its_files(
    tmp_path: Path, folder: Folder
) -> None:
    """Containers that share a folder have the same ids."""
    name = own(tmp_path, os.getpid())
    write(tmp_path, "counter", name, 5)
    for each in (folder.name(), os.getpid()):
        write(tmp_path, "counter", each, 5)
        write(tmp_path, "gauge_livesum", each, 5)

    with folder.locked():
        folder.settle()

    assert 15 == shown(tmp_path)
    assert {folder.name(), f"{os.getpid()}"} == {
        path.stem.rpartition("_")[2] for path in tmp_path.glob("gauge*")
    }
    assert not list(tmp_path.glob(f"*{name}*"))


def test_a_child_process_has_a_name_of_its_own(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are its own, and it holds a lock of its own."""
    parent = folder.name()

    monkeypatch.setattr(dead, "_getpid", lambda: NOBODY)
    child = folder.name()

    assert child.startswith(f"{NOBODY}-")
    assert child == folder.name()
    assert {parent, child} == {path.stem for path in folder.path.glob("*.owner")}


def test_a_file_of_another_user_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell whether the process lives."""
    write(tmp_path, "counter", own(tmp_path, NOBODY), 5)

    def denied(*_: Any) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", denied)

    with Folder(tmp_path).locked():
        Folder(tmp_path).settle()
    assert (tmp_path / f"{NOBODY}-x.owner").exists()


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
    """The next scrape finishes an interrupted merge."""
    done = False
    for steps in range(30):
        folder = tmp_path / str(steps)
        folder.mkdir()
        name = own(folder, NOBODY)
        for kind in ("counter", "histogram"):
            write(folder, kind, name, 5)
            write(folder, kind, "other", 5)
        crash(steps)
        try:
            with Folder(folder).locked():
                Folder(folder).settle()
            done = True
        except CrashError:
            pass
        crash(-1)

        assert 20 == total(folder)

    assert done


def test_without_locks_nothing_is_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows nobody can tell whether a process lives; it counts all the same."""
    monkeypatch.setattr(dead, "_locks", None)
    folder = Folder(tmp_path)
    write(tmp_path, "counter", own(tmp_path, NOBODY), 5)
    write(tmp_path, "counter", folder.name(), 5)

    assert 10 == total(tmp_path)

    folder.leave()
    assert 2 == len(list(tmp_path.glob("*.owner")))


def test_the_newest_exemplar_of_a_bucket_is_kept(tmp_path: Path) -> None:
    """Each process has a file of its own, also after a fork."""
    file = ExemplarFile(tmp_path, lambda: "me")
    file.keep(("a", "GET", 0), 0.1, "first")
    file.keep(("a", "GET", 1), 0.2, "other")
    file.keep(("a", "GET", 0), 0.3, "second")

    found = read(tmp_path)

    assert {("a", "GET", 0): (0.3, "second"), ("a", "GET", 1): (0.2, "other")} == {
        key: (kept.value, kept.trace_id) for key, kept in found.items()
    }
    assert ["me.exemplars"] == [path.name for path in tmp_path.iterdir()]


def test_of_several_files_the_newest_exemplar_counts(tmp_path: Path) -> None:
    """A child process does not write into its parent's file."""
    name = "parent"
    file = ExemplarFile(tmp_path, lambda: name)
    file.keep(("a", 0), 0.1, "of the parent")
    file._begin(name)  # noqa: SLF001 - as another thread may in the meantime
    name = "child"
    file.keep(("b", 0), 0.1, "of the child")
    file.keep(("a", 0), 0.2, "of the child")
    other = ExemplarFile(tmp_path, lambda: "another")
    other.keep(("b", 0), 0.2, "of the parent")
    (tmp_path / "empty.exemplars").touch()

    found = read(tmp_path)

    assert "of the child" == found["a", 0].trace_id
    assert "of the parent" == found["b", 0].trace_id


def test_a_file_that_is_full_keeps_what_it_has(tmp_path: Path) -> None:
    """It has room for thousands of buckets."""
    file = ExemplarFile(tmp_path, lambda: "me")
    for number in range(40_000):
        file.keep(("a" * 60, number), 0.1, "x")
    file.keep(("a" * 60, 0), 0.2, "newest")

    found = read(tmp_path)

    assert 5_000 < len(found) < 40_000
    assert "newest" == found["a" * 60, 0].trace_id


def test_a_slot_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    """The numbers at its ends differ then."""
    ExemplarFile(tmp_path, lambda: "me").keep(("a", 0), 0.1, "x")
    [path] = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[content.index(b'["a", 0]') + 8] ^= 1
    path.write_bytes(content)

    assert {} == read(tmp_path)


def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    """Whatever it holds."""
    ExemplarFile(tmp_path, lambda: "me").keep(("a", 0), 0.1, "x")
    (tmp_path / "other.exemplars").write_bytes(b"\xff" * 12)

    assert 1 == len(read(tmp_path))


def test_a_file_of_another_program_does_not_hide_the_page(folder: Folder) -> None:
    """Nor does one that a worker is making; the first is reported."""
    write(folder.path, "counter", folder.name(), 2)
    (folder.path / "made.db").touch()
    (folder.path / "cache.db").write_bytes(b"SQLite format 3\0" * 300)
    configure_logging()

    with capture_events() as events:
        metrics = [*JoinedCollector(folder).collect()]

    assert {"a_total": 2.0} == {s.name: s.value for m in metrics for s in m.samples}
    assert ["metrics folder"] == [event["site"] for event in events]


def test_a_file_that_a_dead_process_has_not_finished_does_not_hide_the_page(
    folder: Folder,
) -> None:
    """It may have been killed while it made the file, or the file may be damaged."""
    for number in range(3):
        write(folder.path, "counter", own(folder.path, NOBODY + number), 5)
    (folder.path / f"counter_{NOBODY}-x.db").write_bytes(b"")
    (folder.path / f"counter_{NOBODY + 1}-x.db").write_bytes(b"?" * 300)
    configure_logging()

    with capture_events() as events:
        metrics = [*JoinedCollector(folder).collect()]

    assert {"a_total": 5.0} == {s.name: s.value for m in metrics for s in m.samples}
    assert ["metrics folder"] == [event["site"] for event in events]
    assert [] == [*folder.path.glob("*-x.*")]


def test_a_file_that_cannot_be_opened_now_counts_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process may have too many files open: that says nothing about the file."""
    resource = pytest.importorskip("resource")
    write(tmp_path, "counter", own(tmp_path, NOBODY), 5)
    folder, merge = Folder(tmp_path), MultiProcessCollector.merge
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)

    def merge_with_no_descriptor_left(files: Any, accumulate: Any = True) -> Any:  # noqa: FBT002 - as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, most))
        try:
            return merge(files, accumulate)  # type: ignore[no-untyped-call]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))

    with monkeypatch.context() as patch, folder.locked():
        patch.setattr(MultiProcessCollector, "merge", merge_with_no_descriptor_left)
        with pytest.raises(OSError, match="Too many open files"):
            folder.settle()

    assert 5 == total(tmp_path)


def test_a_file_that_another_process_has_just_added_up_is_left_out(tmp_path: Path) -> None:
    """It is gone between two looks at the folder, which is no failure."""
    with capture_events() as events:
        assert not dead.is_readable(tmp_path / "counter_1.db")

    assert [] == events


PROGRAM = """
import os
from pantheon_obs import instrument
from pantheon_obs.core import pipeline
from pantheon_obs.core.events import RequestFinished

def app(environ, start_response):
    return []

instrument(app, metrics_path="/metrics", log_format="json")
pipeline.emit(RequestFinished(trace_id="trace", bound={}, method="GET", path="/", status_code=200,
                              latency_ms=1.0, outcome="ok"))
print(os.getpid())
"""


LEAVING = """
import asyncio, faulthandler, gc, random
from tests.support.garbage import collect_garbage
from pantheon_obs import instrument, llm_call

faulthandler.dump_traceback_later(60, exit=True)
numbers = random.Random(7)
page = []

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})

async def receive():
    return {"type": "http.request", "body": b""}

async def send(message):
    page.append(message.get("body", b""))

@llm_call(model="m", operation="chat")
def stream():
    yield "a"
    yield "b"

def leave_a_stream():
    left = [stream()]
    next(left[0])
    left.append(left)

async def main():
    served = instrument(app, metrics_path="/metrics", log_level="CRITICAL")
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    for _ in range(2000):
        gc.set_threshold(numbers.randint(1, 60), 1, 1)  # at any place
        leave_a_stream()
        await served(dict(scope), receive, send)
    collect_garbage()
    page.clear()
    await served({**scope, "path": "/metrics"}, receive, send)

asyncio.run(main())
for line in b"".join(page).decode().splitlines():
    name = line.partition("{")[0]
    if name in ("pantheon_llm_calls_total", "http_server_request_duration_seconds_count"):
        print(line.split()[-1])
"""


def test_a_stream_that_the_collector_closes_in_the_middle_of_a_count_is_counted(
    tmp_path: Path,
) -> None:
    """Since Python 3.12 it may run while `prometheus_client` holds its lock, and deadlocked."""
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", LEAVING], env=env, check=False, capture_output=True, text=True
    )

    assert (["2000.0", "2000.0"], 0) == (done.stdout.splitlines(), done.returncode), done.stderr


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
    assert list(tmp_path.glob(f"histogram_{pid}-*.db"))

    class Worker:
        """As gunicorn has it."""

        def __init__(self) -> None:
            self.pid = pid

    gunicorn.child_exit(None, Worker())  # without a folder it does nothing
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    gunicorn.child_exit(None, Worker())

    assert {"histogram_dead.db", "merge.lock"} == {path.name for path in tmp_path.iterdir()}


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that this process shares with others."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    yield tmp_path
    reset()
    for each in gc.get_objects():  # prometheus_client leaves its files to the garbage collector
        if type(each) is MmapedDict:
            each.close()


def test_a_folder_without_exemplars_keeps_the_observations(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is reported; the next start has another name in the folder."""

    def broken(*_: Any) -> None:
        raise OSError

    monkeypatch.setattr(ExemplarFile, "keep", broken)
    instrument(application, metrics_path="/metrics", metrics_registry=CollectorRegistry())
    with capture_events() as events:
        pipeline.emit(request_finished(trace_id="trace"))

    collector: Any = MultiProcessCollector(None, str(shared))  # type: ignore[no-untyped-call]
    counts = [s.value for m in collector.collect() for s in m.samples if s.name.endswith("_count")]
    assert [1.0] == counts
    assert ["exemplars"] == [e["site"] for e in events if e["event"] == "telemetry_failed"]
    [owner] = shared.glob("*.owner")
    reset()
    assert dead._is_free(owner)  # noqa: SLF001 - what the next scrape asks
