"""`serve` as a browser meets it: live, bounded, read-only, and for its own name only."""

from __future__ import annotations

import gzip
import http.client
import json
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("jinja2")

from pantheon_obs.cli.reading.files import find
from pantheon_obs.cli.reading.lines import Reader
from pantheon_obs.cli.serve import memory as memories
from pantheon_obs.cli.serve.memory import Memory
from pantheon_obs.cli.serve.server import Server
from tests.cli.pages import TRACE, call, line, request, write_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Run

SECONDS_TO_WAIT = 30


class Served(NamedTuple):
    """A running server, the file that it follows, and its standard input and output."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Send a request, and return status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS_TO_WAIT)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def report(self) -> dict[str, Any]:
        """Ask for the figures."""
        report: dict[str, Any] = json.loads(self.ask("/report.json")[2])
        return report

    def write(self, *lines: dict[str, Any]) -> bytes:
        """Write lines to its standard input."""
        data = "".join(json.dumps(one) + "\n" for one in lines).encode()
        assert self.process.stdin
        self.process.stdin.write(data)
        self.process.stdin.flush()
        return data

    def events(self) -> http.client.HTTPResponse:
        """Listen to changes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS_TO_WAIT)
        connection.request("GET", "/events")
        return connection.getresponse()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Serve a file that is not there yet, and standard input."""
    log = tmp_path / "shop.log"
    old = tmp_path / "old.log.gz"
    text = write_log(tmp_path / "old.log", [request(0, 5, trace_id="old:1")]).read_bytes()
    old.write_bytes(gzip.compress(text))
    process = subprocess.Popen(
        [sys.executable, "-m", "pantheon_obs", "serve", "-", str(old), str(log), "--port", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr
    assert process.stdin
    assert process.stdout
    address = ""
    while "http://" not in address:
        address = process.stderr.readline().decode()
        assert address, "it has ended"
    yield Served(process, int(address.rstrip("/\n").rpartition(":")[2]), log)
    process.stdin.close()
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert 0 == process.wait(SECONDS_TO_WAIT)
    assert b"Traceback" not in process.stderr.read()
    process.stdout.close()
    process.stderr.close()


def next_change(events: http.client.HTTPResponse) -> None:
    """Wait for the next message; in between comments keep the connection open."""
    while not events.readline().startswith(b"data: "):
        pass


def test_lines_are_passed_on_and_counted(served: Served) -> None:
    """The input is passed on byte for byte; a change is announced, and the figures include it."""
    assert served.process.stdin
    assert served.process.stdout
    events = served.events()
    served.process.stdin.write(b"no \xff line\n")
    written = b"no \xff line\n" + served.write(request(1, 20, route="/orders"), call(2, 300))
    assert written == served.process.stdout.read(len(written))
    assert "text/event-stream" == events.headers["Content-Type"]
    next_change(events)
    while 2 > (report := served.report())["totals"]["requests"]:
        next_change(events)
    events.close()
    assert 0.125 == report["totals"]["cost_usd"]
    status, _, body = served.ask(f"/story/{TRACE.replace('-', '')}.json")
    assert (200, ["request", "llm"]) == (
        status,
        [item["kind"] for item in json.loads(body)["items"]],
    )
    assert "left_out" in json.loads(served.ask(f"/story/{TRACE}.json?page")[2])


def test_a_rotated_file_is_followed(served: Served) -> None:
    """It may come later, and a new file of its name is read from the start."""
    events = served.events()
    write_log(served.log, [request(1, 20)])
    while 2 > served.report()["totals"]["requests"]:  # the first change may be the zipped line
        next_change(events)
    served.log.rename(served.log.with_suffix(".log.1"))
    write_log(served.log, [request(2, 30), request(3, 40)])
    while 4 > (requests := served.report()["totals"]["requests"]):
        next_change(events)
    events.close()
    assert 4 == requests


@pytest.mark.parametrize(
    ("path", "method", "host", "status"),
    [
        ("/", "GET", None, 200),
        ("/", "HEAD", "localhost:{port}", 200),
        ("/events", "HEAD", None, 200),
        ("/events?0", "HEAD", None, 200),
        (f"/story/{TRACE}.json", "GET", None, 200),
        ("/?x=1", "GET", "LOCALHOST:{port}", 200),
        ("/", "GET", "evil.example:{port}", 403),
        ("/", "GET", "127.0.0.1", 403),
        ("/", "POST", None, 405),
        ("/report.json", "DELETE", None, 405),
        ("/nothing", "GET", None, 404),
        ("/story/feedbeeffeedbeef.json", "GET", None, 404),
        ("/story/%20.json", "GET", None, 404),
    ],
)
def test_it_answers_what_it_has_to(
    shared: Served, path: str, method: str, host: str | None, status: int
) -> None:
    """Two methods, five paths, its own name; and no answer may be read by another site."""
    headers = {"Host": host.format(port=shared.port)} if host else {}
    answered, received, body = shared.ask(path, method, **headers)
    assert status == answered
    assert "Access-Control-Allow-Origin" not in received
    if method == "HEAD":
        assert b"" == body


DROPPED = """
import signal, sys
from pantheon_obs.cli.main import main
from pantheon_obs.cli.serve.memory import Memory

class Late:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

notify = Memory.notify
def notify_and_interrupt(self):
    Late()
    notify(self)
Memory.notify = notify_and_interrupt
sys.exit(main(["serve", sys.argv[1], "--port", "0"]))
"""


def test_an_interrupt_that_comes_within_a_finalizer_ends_it(tmp_path: Path) -> None:
    """Python drops exceptions of a finalizer, so the interrupt itself is lost there."""
    log = write_log(tmp_path / "shop.log", [request(0, 5)])

    done = subprocess.run(
        [sys.executable, "-c", DROPPED, log],
        capture_output=True,
        timeout=SECONDS_TO_WAIT,
        check=False,
    )

    assert (0, True) == (done.returncode, b"KeyboardInterrupt" in done.stderr)


def test_what_comes_after_an_interrupt_is_passed_on() -> None:
    """Ctrl-C reaches the application, too, and its last lines are shown."""
    with subprocess.Popen(
        [sys.executable, "-m", "pantheon_obs", "serve", "-", "--port", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"before\n")
        process.stdin.flush()
        assert b"before\n" == process.stdout.read(7)
        process.send_signal(signal.SIGINT)
        process.stdin.write(b"after\n")
        process.stdin.close()
        assert b"after\n" == process.stdout.read()

    assert 0 == process.returncode


IGNORED = """
import signal, sys
from pantheon_obs.cli.main import main
from pantheon_obs.cli.serve.memory import Memory

looks = []
def notify(self):
    looks.append(signal.raise_signal(signal.SIGINT))
    if len(looks) == 2:
        sys.exit(7)
Memory.notify = notify
signal.signal(signal.SIGINT, signal.SIG_IGN)
main(["serve", sys.argv[1], "--port", "0"])
"""


def test_interrupts_that_a_shell_has_ignored_stay_so(tmp_path: Path) -> None:
    """A script that starts it in the background may be interrupted itself."""
    log = write_log(tmp_path / "shop.log", [request(0, 5)])

    done = subprocess.run(
        [sys.executable, "-c", IGNORED, log], timeout=SECONDS_TO_WAIT, check=False
    )

    assert 7 == done.returncode


def test_a_browser_that_has_an_old_version_is_told_at_once(shared: Served) -> None:
    """The query names its version."""
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=SECONDS_TO_WAIT)
    connection.request("GET", "/events?0")
    answer = connection.getresponse()
    assert b"data: 1\n" == answer.readline()
    connection.close()


def test_the_policy_is_a_header(shared: Served) -> None:
    """Scripts by hash; only this server may be asked."""
    _, headers, body = shared.ask("/")
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src 'self'" in policy
    assert b"http-equiv" not in body


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve the newest lines in this process."""
    log = write_log(tmp_path_factory.mktemp("shared") / "shop.log", [request(1, 20)])
    memory = Memory({"files": 1, "lines": 1, "foreign": 0, "torn": 0})
    for one in Reader(find([str(log)])).lines():
        memory.add(one)
    server = Server("127.0.0.1", 0, memory)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Served(None, server.server_port, log)  # type: ignore[arg-type]
    server.shutdown()
    server.server_close()
    thread.join()


def remember(memory: Memory, folder: Path, lines: list[dict[str, Any]]) -> None:
    """Add lines to a memory."""
    for one in Reader(find([str(write_log(folder / "shop.log", lines))])).lines():
        memory.add(one)


@pytest.mark.parametrize(("name", "most"), [("MOST_REQUESTS", 2), ("MOST_BYTES", 1600)])
def test_the_oldest_requests_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    """With their lines, in the figures as well."""
    monkeypatch.setattr(memories, name, most)
    memory = Memory({"files": 1, "lines": 6, "foreign": 0, "torn": 0})
    lines = [line(1, trace_id="first:1"), request(2, 1, trace_id="first:1")]
    remember(memory, tmp_path, [*lines, line(3), request(4, 9), request(5, 9)])
    version, report = memory.report()
    assert (5, 2) == (version, report["totals"]["requests"])
    assert "2026-11-29T08:00:03.000000Z" == report["window"]["first"]
    assert memory.story("first:1") is None
    assert report is memory.report()[1]


def test_the_port_of_another_is_refused(shared: Served, run: Run) -> None:
    """In one line, as is a port that there is not."""
    result = run("serve", shared.log, "--port", str(shared.port))
    assert (2, "") == (result.code, result.out)
    assert f"127.0.0.1 port {shared.port}: Address already in use" in result.err
    assert 2 == run("serve", shared.log, "--port", "70000").code
    assert 2 == run("serve", shared.log, "--host", "ü" * 70).code


def test_an_address_that_is_not_the_loopback_has_no_other_names() -> None:
    """`localhost` is another machine's name for itself."""
    with Server("127.0.0.1", 0, Memory({})) as server:
        port = server.server_port
        assert server.is_own(f"10.0.0.7:{port}", "10.0.0.7")
        assert server.is_own(f"localhost:{port}", "127.0.0.1")
        assert not server.is_own(f"localhost:{port}", "10.0.0.7")
        assert not server.is_own("localhost", "127.0.0.1")
        server.server_port = 80  # which browsers leave out
        assert server.is_own("LocalHost", "127.0.0.1")
        assert server.is_own("localhost:80", "127.0.0.1")


def test_a_broken_answer_is_told_in_one_line(
    shared: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server goes on."""

    def fail(_: Memory) -> None:
        msg = "out of luck"
        raise ValueError(msg)

    monkeypatch.setattr(Memory, "report", fail)
    with pytest.raises(http.client.RemoteDisconnected):
        shared.ask("/report.json")
    assert 404 == shared.ask("/nothing")[0]
    assert "pantheon-obs: an answer failed: ValueError: out of luck\n" == capsys.readouterr().err
