"""`report --clickhouse` gives the figures of DuckDB; chdb, ClickHouse's own engine, answers."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("chdb")

from chdb import session
from hypothesis import HealthCheck, Phase, given, settings

from tests.cli.report_logs import tame_logs
from tests.cli.test_report_figures import approximately

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Run


class Engine:
    """A ClickHouse of one session behind its HTTP interface."""

    def __init__(self) -> None:
        self.session = session.Session()
        self.asked: list[tuple[str | None, str | None]] = []
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                engine.asked.append(
                    (self.headers["X-ClickHouse-User"], self.headers["X-ClickHouse-Key"])
                )
                query = self.rfile.read(int(self.headers["Content-Length"])).decode()
                settings = " SETTINGS output_format_json_quote_64bit_integers=0, join_use_nulls=1"
                try:
                    body = engine.session.query(query + settings, "JSONCompact").bytes()
                    self.send_response(200)
                except RuntimeError as error:
                    body = str(error).encode()
                    self.send_response(400)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Write nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=[0.01]).start()
        self.url = f"http://reader:se%40cret@127.0.0.1:{self.server.server_port}/?database=default"

    def load(self, script: str, log: Path) -> None:
        """Make the table anew, and load a file, as the script says."""
        table, load = script.split("-- load: ")
        self.session.query("DROP TABLE IF EXISTS pantheon_events")
        self.session.query(table)
        self.session.query(load.strip().rstrip(";").replace("FILE", str(log)))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Start the engine once."""
    engine = Engine()
    yield engine
    engine.server.shutdown()
    engine.server.server_close()
    engine.session.close()


@given(log=tame_logs)
@settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_both_engines_give_the_same_figures(
    tmp_path: Path, run: Run, engine: Engine, log: list[dict[str, Any]]
) -> None:
    """Over the same lines, with a window, a window before, and a field to group by."""
    path = tmp_path / "shop.log"
    path.write_text("".join(json.dumps(line) + "\n" for line in log))
    engine.load(run("schema", "--format", "clickhouse").out, path)
    options = ("--json", "--by", "tenant", "--since", "2026-11-29T08:00:01Z", "--compare")
    until = ("--until", "2026-11-29T08:00:03Z")
    here = json.loads(run("report", path, *options, *until).out)
    there = json.loads(run("report", "--clickhouse", engine.url, *options, *until).out)
    assert len(log) == there.pop("read")["lines"]
    del here["read"]
    for report in (here, there, here["before"], there["before"]):
        for row in report["errors"]:
            row["example"].pop("trace_id")  # any of several
            row["example"].pop("message")
        for row in report["requests"]:
            row["slowest"] = row["slowest"] and row["slowest"]["latency_ms"]
    assert approximately(here) == there
    assert ("reader", "se@cret") == engine.asked[-1]


def test_a_field_of_the_library_may_group(tmp_path: Path, run: Run, engine: Engine) -> None:
    """A text, a number, and one that is in no column."""
    path = tmp_path / "shop.log"
    line = {
        "timestamp": "2026-11-29T08:00:01.000000Z",
        "level": "info",
        "event": "llm.chat",
        "logger": "pantheon_obs.llm",
        "service": "shop",
        "outcome": "ok",
        "chunks": 3,
        "it's": {"a": [1]},
    }
    path.write_text(json.dumps(line) + "\n")
    engine.load(run("schema", "--format", "clickhouse").out, path)
    for by, value in (
        ("outcome", "ok"),
        ("chunks", 3),
        ("it's", {"a": [1]}),
        ("none", None),
        ("cost_usd", None),
    ):
        report = json.loads(run("report", "--clickhouse", engine.url, "--by", by, "--json").out)
        assert [value] == [row["by"] for row in report["llm"]]


def test_what_goes_wrong_is_said_in_one_line(tmp_path: Path, run: Run, engine: Engine) -> None:
    """No table, no server, no ClickHouse, no URL, a port that is none, and files beside it."""
    engine.session.query("DROP TABLE IF EXISTS pantheon_events")
    assert "pantheon_events" in run("report", "--clickhouse", engine.url).err
    for url in (
        "localhost:8123",
        "http://",
        "http://127.0.0.1:1",
        "http://[::1",
        "http://localhost:x",
    ):
        result = run("report", "--clickhouse", url)
        assert (2, "", 1) == (result.code, result.out, result.err.count("\n"))
    both = run("report", "--clickhouse", engine.url, tmp_path)
    assert "--clickhouse reads no files" in both.err


def test_a_server_that_is_no_clickhouse_is_told(tmp_path: Path, run: Run) -> None:
    """It may answer anything."""

    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        result = run("report", "--clickhouse", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert 2 == result.code
    assert "this is no answer of ClickHouse" in result.err
