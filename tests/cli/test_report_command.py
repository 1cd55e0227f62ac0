"""`report` as a person meets it: text, windows, large and piped input, and errors."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("jinja2")

from pantheon_obs.cli.reading import lines as reading
from pantheon_obs.cli.reading.files import find
from pantheon_obs.cli.report import cache, duck, traces
from pantheon_obs.cli.report.windows import MOST_POINTS, bucket_length
from pantheon_obs.cli.wording import duration
from tests.cli.pages import CALLER, HOSTILE, TRACE, TRACEBACK, call, line, request, write_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Run

DAY = 86_400_000_000


def counts(run: Run, *arguments: str | Path) -> dict[str, Any]:
    """Run `report --json`."""
    result = run("report", "--json", *arguments)
    assert 0 == result.code, result.err
    report: dict[str, Any] = json.loads(result.out)
    return report


def test_the_text_has_the_tables(tmp_path: Path, run: Run) -> None:
    """It has the changes and whole trace ids, and nothing that could move a terminal's cursor."""
    log = write_log(tmp_path / "shop.log", HOSTILE)
    options = ("--since", "2026-11-29T08:00:02", "--until", "2026-11-29T08:01:00Z", "--compare")
    text = run("report", log, *options).out
    assert "requests     6  (before: 0)" in text
    assert "cost usd     $0.125  (before: -)" in text
    assert "CardDeclined (new)" in text
    assert "/srv/shop/pay.py:12 charge" in text
    assert TRACE in text
    assert CALLER in text
    assert "\u202e" not in text
    assert "no line of pantheon-obs in this window\n" == run("report", log, "--since", "1s").out


def test_a_long_table_is_cut_in_text(tmp_path: Path, run: Run) -> None:
    """Long durations are in minutes, long texts end with an ellipsis, and paths begin with one."""
    lines = [request(1, 90_000, route=f"/{'x' * 100}{number}") for number in range(21)]
    deep = TRACEBACK.replace("/srv/shop", f"/srv/{'deep/' * 20}shop")
    lines[0] |= {"level": "error", "exception": deep}
    text = run("report", write_log(tmp_path / "shop.log", lines)).out
    assert "… and 1 more" in text
    assert "x…" in text
    assert "1.5 min" in text
    assert "/deep/shop/pay.py:12 charge  2026" in text


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        *((99.94, "99.9 ms"), (99.96, "100 ms"), (999.4, "999 ms"), (999.7, "1.00 s")),
        *((59_994, "59.99 s"), (59_999, "1.0 min"), (90_000, "1.5 min"), (None, "-")),
    ],
)
def test_a_duration_that_is_rounded_has_the_unit_of_what_is_shown(
    milliseconds: float | None, shown: str
) -> None:
    """There are no 1000 ms and no 60 s."""
    assert shown == duration(milliseconds)


def test_the_text_says_where_the_time_went(tmp_path: Path, run: Run) -> None:
    """The two longest parts of the routes are there; small costs keep their digits."""
    times = {"db_calls": 2, "db_ms": 1200, "own_ms": 20, "http_calls": 1, "http_ms": 500}
    lines = [request(2, 1800, **times), call(1, 10, cost_usd=0.0000131)]
    text = run("report", write_log(tmp_path / "shop.log", lines), "--by", "n").out
    assert "1.80 s  db 1.20 s, http 500 ms  " in text
    assert "$0.000013 " in text


def test_errors_without_a_traceback_of_their_own(tmp_path: Path, run: Run) -> None:
    """The last failed call names the type; two outlines of one frame are one group."""
    chained = TRACEBACK.replace("last):\n", 'last):\n  File "/lib/python3.12/a.py", line 1, in b\n')
    lines = [
        call(1, 5, outcome="error", error_type="RateLimited"),
        request(2, 1500, level="error", route="/chat"),
        request(3, 10, level="error", exception=TRACEBACK, trace_id="other:1"),
        request(4, 10, level="error", exception=chained, trace_id="other:2"),
    ]
    rows = counts(run, write_log(tmp_path / "shop.log", lines))["errors"]
    assert [("CardDeclined", 2), ("RateLimited", 1)] == [
        (row["type"], row["count"]) for row in rows
    ]
    assert ["other:1", TRACE] == [row["example"]["trace_id"] for row in rows]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--since", "yesterday"), "--since yesterday is not accepted: use a time in ISO 8601"),
        (("--until", "999999999d"), "--until 999999999d is not accepted"),
        (("--compare",), "--compare needs --since"),
        (("--since", "0001-01-01", "--until", "2026-01-01", "--x"), "unrecognized arguments: --x"),
        (("--html", "/nowhere/report.html"), "/nowhere/report.html: No such file or directory"),
    ],
)
def test_wrong_use_is_told_in_one_line(
    tmp_path: Path, run: Run, options: tuple[str, ...], told: str
) -> None:
    """With the exit code 2."""
    result = run("report", write_log(tmp_path / "shop.log", HOSTILE), *options)
    assert (2, "", 1) == (result.code, result.out, result.err.count("\n"))
    assert told in result.err


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("duckdb", ("report",)),
        ("jinja2", ("report", "--html", "x.html")),
        ("jinja2", ("story", TRACE, "--html", "x.html")),
        ("duckdb", ("serve",)),
    ],
)
def test_a_missing_extra_is_told_in_one_sentence(
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    arguments: tuple[str, ...],
) -> None:
    """The message names the package to install."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    result = run(*arguments, write_log(tmp_path / "shop.log", HOSTILE))
    assert 2 == result.code
    assert f"needs the package {package!r}" in result.err
    assert "pip install 'pantheon-obs[cli]'" in result.err


def test_lines_go_to_the_engine_in_pieces(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same figures, also where lines are cut into parts and one is long."""
    lines = [*HOSTILE, request(20, 5, note="x" * 4_000_000), request(21, 6)]
    plain = write_log(tmp_path / "shop.log", lines)
    cri = tmp_path / "cri.log"
    first = json.dumps(request(30, 7))
    parts = (
        f"2026-11-29T08:00:00Z stdout P {first[:90]}\n2026-11-29T08:00:00Z stdout F {first[90:]}"
    )
    cri.write_text(f"{plain.read_text()}{parts}\n2026-11-29T08:00:00Z stdout P {first}\n")
    expected = [counts(run, file) for file in (plain, cri)]
    monkeypatch.setattr(duck, "PIECE", 1)
    assert expected == [counts(run, file) for file in (plain, cri)]
    assert [8, 10] == [report["totals"]["requests"] for report in expected]


def test_the_engine_and_the_standard_differ_in_what_is_json(tmp_path: Path, run: Run) -> None:
    """Each line is judged by the standard, and of a key that comes twice the last counts."""
    log = tmp_path / "shop.log"
    whole = json.dumps(request(1, 5, service="shop"))
    odd = (
        whole[:-1] + ',"latency_ms":7}',
        whole[:-1] + ',"score":NaN}',
        whole[:-1] + ',"score":[1,]}',
        whole[:-1] + ',"parts":[1',
        '{"b":2}]}',
        json.dumps(request(1, 5, service=7, trace_id='"', db_calls=2, db_ms=3, DB_calls=1)),
        whole[:-1] + ',"\\x_calls":1}',
        json.dumps(
            request(1, 5, service="shop", **{"OWN_calls": 1, "_calls": 1, "x\x7f_calls": 1})
        ),
    )
    log.write_text("\n".join([whole, *odd]))
    report = counts(run, log)
    assert {"files": 1, "lines": 9, "foreign": 0, "torn": 5} == report["read"]
    (row,) = report["requests"]
    assert (4, 22) == (row["requests"], row["total_ms"])
    assert [{"name": "db", "calls": 2, "ms": 3}] == row["times"]
    for value in ('{"a":1,}', '{"a":1 ,\t}', "[1,]", "[1, ]"):
        log.write_text(f'{whole}\n{whole[:-1]},"x":{value}}}\n')
        assert {"files": 1, "lines": 2, "foreign": 0, "torn": 1} == counts(run, log)["read"]


def test_what_the_engine_lacks_is_told_in_one_line(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No space for its temporary files, for example."""
    monkeypatch.setattr(duck, "facts", lambda *_: "SELECT 'no space'::INTEGER WHERE [?, ?, ?, ?]")
    result = run("report", write_log(tmp_path / "shop.log", HOSTILE))
    assert (2, "", 1) == (result.code, result.out, result.err.count("\n"))
    assert "pantheon-obs: DuckDB: " in result.err


def test_calls_are_grouped_by_equal_values(tmp_path: Path, run: Run) -> None:
    """However they are written, and whatever the field is called."""
    forms = ("1.50", "1.5", '"\\u00e9"', '"é"', '{"a": [1.0]}', '{"a":[1.00]}', "null")
    texts = [json.dumps(call(1, 5, Tenant=number)) for number in range(len(forms))]
    texts = [
        text.replace(f'"Tenant": {number}', f'"Tenant": {form}, "tenant": 1, "MODEL": {form}')
        for number, (text, form) in enumerate(zip(texts, forms, strict=True))
    ]
    log = tmp_path / "shop.log"
    log.write_text("\n".join(texts))
    expected = {'{"a": [1.0]}': 2, '"\\u00e9"': 2, "1.5": 2, "null": 1}
    for by in ("Tenant", "MODEL"):
        rows = counts(run, log, "--by", by)["llm"]
        assert expected == {json.dumps(row["by"]): row["calls"] for row in rows}
    assert [7] == [row["calls"] for row in counts(run, log, "--by", "\udcff")["llm"]]
    times = [(row["by"], row["calls"]) for row in counts(run, log, "--by", "timestamp")["llm"]]
    assert [(call(1, 5)["timestamp"], 7)] == times


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache, which takes in the smallest files."""
    monkeypatch.setattr(cache, "LARGE", 1)
    monkeypatch.setattr(cache, "SMALL", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pantheon-obs"


def test_a_large_log_is_read_once(
    tmp_path: Path, run: Run, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures through the cache are the same, for each field of --by, until a file changes."""
    log = write_log(tmp_path / "shop.log", [*HOSTILE, {"a": 1}, request(9, 5, db_calls=2, db_ms=1)])
    with log.open("a") as file:
        file.write("Listening\n{\n")
    zipped = tmp_path / "cut.log.gz"
    zipped.write_bytes(gzip.compress(log.read_bytes()))
    fresh = counts(run, log, zipped, "--by", "tenant")
    assert 2 == len(list(kept.iterdir()))
    assert 0o700 == kept.stat().st_mode & 0o777
    with monkeypatch.context() as patched:
        patched.setattr(reading, "blocks", None)  # nothing is read
        assert fresh == counts(run, log, zipped, "--by", "tenant")
    assert 7 * 2 == fresh["totals"]["requests"]
    assert [None] == [row["by"] for row in counts(run, log)["llm"]]
    with log.open("a") as file:
        file.write(json.dumps(request(30, 7)) + "\n")
    assert 8 == counts(run, log)["totals"]["requests"]
    assert 4 == len(list(kept.iterdir()))


def test_the_cache_is_bounded_and_never_in_the_way(
    tmp_path: Path, run: Run, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damaged entries are made anew, the oldest are removed, and a folder may be no folder."""
    log = write_log(tmp_path / "shop.log", HOSTILE)
    fresh = counts(run, log)
    (entry,) = kept.iterdir()
    for damage in (b"", entry.read_bytes()[:-9], b"PAR1" * 100):
        entry.write_bytes(damage)
        assert fresh == counts(run, log)
        assert len(damage) != entry.stat().st_size
    monkeypatch.setattr(cache, "MOST_BYTES", entry.stat().st_size * 3 // 2)
    other = write_log(tmp_path / "api.log", HOSTILE)
    begun, killed = kept / "new-begun", kept / "new-killed"
    begun.mkdir()
    killed.mkdir()
    (killed / "entry").touch()
    os.utime(killed, (0, 0))
    counts(run, other)
    assert [True, False] == [begun.exists(), killed.exists()]
    begun.rmdir()
    assert [False, 1] == [entry.exists(), len(list(kept.iterdir()))]
    shutil.rmtree(kept)
    kept.touch()
    assert fresh == counts(run, log)
    monkeypatch.setenv("XDG_CACHE_HOME", "elsewhere")  # no absolute path, so it does not count
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert fresh == counts(run, log)
    assert (tmp_path / "home/.cache/pantheon-obs").is_dir()


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    tmp_path: Path, run: Run, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose last line continues in the next file is not kept either; a pipe has no size."""
    log = write_log(tmp_path / "shop.log", HOSTILE)
    read = reading.blocks

    def growing(*arguments: Any) -> Iterator[bytes]:
        yield from read(*arguments)
        with log.open("a") as file:
            file.write("\n")

    with monkeypatch.context() as patched:
        patched.setattr(reading, "blocks", growing)
        counts(run, log)
    assert not kept.exists()
    first = json.dumps(request(30, 7))
    (tmp_path / "cri.log.1").write_text(f"2026-11-29T08:00:00Z stdout P {first[:90]}\n")
    (tmp_path / "cri.log").write_text(f"2026-11-29T08:00:00Z stdout F {first[90:]}\n")
    assert 1 == counts(run, tmp_path / "cri.log*")["totals"]["requests"]
    assert not kept.exists()
    assert 0 == sum(map(cache.size, find([os.devnull])))


def test_a_line_that_begins_like_ours_may_be_foreign(tmp_path: Path, run: Run) -> None:
    """Its level or its time is no text."""
    ours = request(1, 5)
    wrong = [{"level": 1}, {"timestamp": 20261129}, {"timestamp": [ours["timestamp"]]}]
    log = write_log(tmp_path / "shop.log", [ours, *({**ours, **each} for each in wrong)])
    report = counts(run, log)
    assert (1, 3) == (report["totals"]["requests"], report["read"]["foreign"])


def test_odd_times_and_weights_are_counted(tmp_path: Path, run: Run) -> None:
    """The year 1 begins in the middle of a bucket, and a weight may be beyond 64 bits."""
    old = {**request(1, 5), "timestamp": "0001-01-01T00:00:00.000000Z"}
    log = write_log(tmp_path / "shop.log", [old, request(2, 5, keep_rate=1e-20)])
    report = counts(run, log)
    assert 1e20 == report["totals"]["requests"]
    assert "0001-01-01T00:00:00.000000Z" == report["series"]["points"][0]["start"]
    assert 0 == run("report", log, "--since", "0001-01-01").code


def test_the_page_of_a_pipe_has_its_stories(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard input is read twice; with --json the figures are printed as well."""
    page = tmp_path / "report.html"
    log = write_log(tmp_path / "shop.log", [line(1), *HOSTILE, call(50, 1, trace_id=None)])
    with log.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        report = counts(run, "-", "--html", page)
    assert 6 == report["totals"]["requests"]
    html = page.read_text()
    assert f'"stories":{{"{TRACE}":' in html or f'"{TRACE}":{{"trace_id"' in html
    assert '"source":"-:1"' in html


def test_a_page_is_cut_to_what_it_can_show(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Very deep values become text, and a story of very many lines is cut."""
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    page = tmp_path / "report.html"
    log = write_log(tmp_path / "shop.log", [request(1, 5, deep=deep), *HOSTILE])
    monkeypatch.setattr(traces, "MOST_LINES", 1)
    assert 0 == run("report", log, "--html", page).code
    assert "'[[[" not in page.read_text()
    assert '"[[[' in page.read_text()


def test_the_window_before_begins_in_the_year_one_at_the_earliest(tmp_path: Path, run: Run) -> None:
    """No time is earlier."""
    options = ("--since", "0900-01-01", "--until", "2026-12-01", "--compare")
    report = counts(run, write_log(tmp_path / "shop.log", HOSTILE), *options)
    assert "0001-01-01T00:00:00.000000Z" == report["before"]["window"]["since"]
    assert 200 >= len(report["series"]["points"])


def test_a_wide_window_has_few_points() -> None:
    """Buckets have a readable length, and beyond half a day whole days."""
    assert 1 == bucket_length(0, 5)
    assert 600 == bucket_length(0, DAY)
    for days in (365, 3650):
        length = bucket_length(0, days * DAY)
        assert 0 == length % 86_400
        assert days * 86_400 / length <= MOST_POINTS
