"""The commands as a person uses them: arguments, help, errors, pipes and terminals."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pantheon_obs import __version__
from pantheon_obs.cli import terminal
from pantheon_obs.cli.main import COMMANDS, main
from pantheon_obs.cli.stories import search
from tests.cli.incidents import TRACE, traceback
from tests.cli.written import call, line, request, save, task, websocket
from tests.support.server import SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

COMMAND = [sys.executable, "-m", "pantheon_obs"]
HEX = TRACE.replace("-", "")


@pytest.mark.parametrize(
    "what",
    [
        TRACE,
        HEX,
        HEX.upper(),
        f" {TRACE}\n",
        TRACE[:8],
        TRACE[:9],
        TRACE[:11],
        TRACE[:16],
        TRACE[:20],
        TRACE[:26],
        HEX[:20],
        f"00-{HEX}-00f067aa0ba902b7-01",
        f"traceparent: 00-{HEX}-00f067aa0ba902b7-01",
        json.dumps(line(0)),
        f"web-1  | {json.dumps(line(0))}",
        json.dumps({"log": json.dumps(line(0)) + "\n", "stream": "stdout"}),
        json.dumps(line(0))[:-3],
        json.dumps({"log": json.dumps(line(0))})[:-9],
        f"2026-11-29 21:41:07,123 INFO     shop.app [{TRACE}] hello",
        f"12:00:00 info hello trace_id={TRACE} user=7",
        f"X-Trace-ID: {TRACE}",
    ],
)
def test_what_may_be_an_id_in_many_forms(run: Run, tmp_path: Path, what: str) -> None:
    """With or without dashes, its beginning, a header, a line."""
    path = save(tmp_path / "x.log", line(0), line(1, trace_id="5" * 32))

    [row] = json.loads(run("story", what, path, "--json").out)["lines"]

    assert TRACE == row["line"]["trace_id"]


@pytest.mark.parametrize(
    ("written", "what", "code"),
    [
        ("my-custom.id:7", "my-custom.id:7", 0),
        ("my-custom.id:7", "my-custo", 0),
        ("my-custom.id:7", f"00-{HEX}-{'0' * 16}-01", 2),
        ("my-custom.id:7", "my-cust", 1),
        ("my-custom.id:7", "MY-CUSTO", 1),
        ("abc", "abc", 0),
        ("ABC", "abc", 0),
        ("12345678-9", "12345678-9", 0),
        ("12345678-9x", "12345678-9", 0),
        ("abcdefab" * 4, "ABCDEFAB-cdef-abab-cdef-ABABCDEFABAB", 1),
        ("abcdefab" * 4, "abcdefab-abcd-efab-abcd-efababcdefab", 0),
    ],
)
def test_ids_of_any_form_are_found(
    run: Run, tmp_path: Path, written: str, what: str, code: int
) -> None:
    """Fewer than 8 characters are a whole id; only hex digits have no case."""
    path = save(tmp_path / "x.log", line(0, trace_id=written))

    assert code == run("story", what, path).code


def test_a_prefix_of_several_traces_gives_the_candidates(run: Run, tmp_path: Path) -> None:
    """A whole id is no prefix."""
    ids = [f"abcdefab{number:024x}" for number in range(25)]
    path = save(tmp_path / "x.log", *(line(0, trace_id=one) for one in [*ids, "abcdefab", *ids]))

    several = run("story", "abcdefab0", path)

    assert (2, "") == (several.code, several.out)
    assert f"begins the ids of 25 traces: use one of {ids[0]}, {ids[1]}" in several.err
    assert several.err.endswith(" and 5 more\n")
    assert 0 == run("story", "abcdefab", path).code
    assert 0 == run("story", ids[3][:32], path).code


def test_nothing_found_says_what_was_looked_through(run: Run, tmp_path: Path) -> None:
    """Lines that have the id and cannot be used are counted, and a beginning may be too short."""
    save(tmp_path / "a.log", line(0), f"{{ {TRACE[:12]}-torn")
    save(tmp_path / "b.log", line(0), "text")

    absent = run("story", "cafecafe", tmp_path)
    torn = run("story", f"{TRACE[:12]}-torn", tmp_path)
    short = run("story", TRACE[:7], tmp_path)

    read = "looked through 4 lines in 2 files"
    assert (1, f"pantheon-obs: no line of trace cafecafe found: {read}\n") == (
        absent.code,
        absent.err,
    )
    assert torn.err.endswith(f"{read}; 1 line that has it is torn or foreign\n")
    assert short.err.endswith("; the beginning of an id has 8 or more characters\n")


@pytest.mark.parametrize("what", ["", "two words", "{}", '{"trace_id": 7}', "{", "ü", "x" * 200])
def test_what_is_no_id_is_refused(run: Run, what: str) -> None:
    """The answer names the accepted values."""
    result = run("story", what)

    assert (2, "") == (result.code, result.out)
    assert "is not accepted: use a trace id" in result.err
    assert 1 == len(result.err.splitlines())


def test_a_story_too_long_for_the_memory_is_cut(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first lines are named, and the others counted."""
    monkeypatch.setattr(search, "MOST_LINES", 3)
    path = save(tmp_path / "x.log", *map(line, range(5)))

    result = run("story", TRACE, path, "--json")

    assert 3 == len(json.loads(result.out)["lines"])
    assert "2 more lines of this trace are left out" in result.err


def test_the_text_has_the_error_first_then_the_waterfall_then_the_lines(
    run: Run, tmp_path: Path
) -> None:
    """Each bar is to scale."""
    failed = {"level": "error", "error_type": "Declined", "exception": traceback("x.Declined")}
    path = save(
        tmp_path / "shop.log",
        line(20, "d", level="debug", text="a b", empty="", bell="\x1b[J\u202e\u061c\n\t"),
        call(100, 300, cost_usd=0.0123, input_tokens=1200, output_tokens=300, ttft_ms=150.25),
        call(110, 290, nested=True, model_alias=None),
        request(
            0, 1000, status_code=500, route="/pay/{id}", db_calls=30, db_ms=500, db_repeats=12,
            db_repeated="SELECT ?", own_ms=300.5, loop_blocked_ms=260, lines_not_recorded=2,
            llm_calls=1, llm_latency_ms=200, llm_cost_usd=0.0123, **failed,
        ),
        task(1000, 2000, service="worker", retries=1, state="RETRY", level="warning"),
        websocket(500, 600, service="edge", keep_rate=0.5),
        line(90_000_000, "the next day"),
    )  # fmt: skip

    text = run("story", TRACE, path).out

    assert (
        f"trace {TRACE}: failed\n"
        "2026-11-29 21:41:07.000000 UTC · 1,500.0 min · shop, edge, worker · 1 LLM call"
        " · 1,200 → 300 tokens · $0.0123\n"
        "\n"
        "✗ Declined: no money\\nleft\n"
        "  /srv/shop/views.py:31 in pay\n"
        "  shop · request_finished · 21:41:08.000000Z\n"
    ) == text[: text.index("\n\nGET")] + "\n"
    waterfall = text[text.index("GET") : text.index("\n\n21:41")].split("\n")
    starts = [row.partition("▏")[0].rstrip() for row in waterfall]
    assert [
        "GET /pay/{id}  shop",
        "  · db",
        "  · own",
        "  · llm",
        "  llm.generate  shop",
        "    llm.generate  shop",
        "  /ws  edge",
        "  shop.mail  worker",
    ] == starts
    assert waterfall[1].endswith("500 ms  30 calls, 12 times SELECT ?")
    assert waterfall[0].endswith(
        "1.00 s  500 Declined, 1 LLM call, $0.0123, loop blocked 260 ms, 2 lines not recorded"
    )
    assert waterfall[4].endswith(
        "200 ms  ok, small, 1,200 → 300 tokens, $0.0123, first token 150 ms"
    )
    assert waterfall[5].endswith("180 ms  ok, nested")
    assert waterfall[6].endswith("100 ms  1000, keep rate 0.5, its place is a guess")
    assert waterfall[7].endswith("1.00 s  RETRY, retry 1")
    lines = text[text.index("\n\n21:41") + 2 :]
    assert (
        '21:41:07.020000 shop   debug    shop d text="a b" empty=""'
        ' bell="\\u001b[J\\u202e\\u061c\\n\\t"\n'
    ) == lines.splitlines(keepends=True)[0]
    assert "    x.Declined: no money\n    left\n" in lines
    assert "2026-11-30\n22:41:07.000000 shop   info     shop the next day\n" in lines


def test_bars_are_to_scale(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of the columns is 1,000 ms here; the shortest bar is one column wide."""
    monkeypatch.setenv("COLUMNS", "120")
    path = save(
        tmp_path / "x.log",
        request(0, 1000, path="/" + "x" * 90),
        call(250, 500),
        call(999, 1000),
        *(task(0, 0, service=f"s{number}") for number in range(2)),
    )

    text = run("story", TRACE, path).out

    bars = [row.partition("▏")[2].partition("▕")[0] for row in text.splitlines() if "▏" in row]
    assert {40} == {len(bar) for bar in bars}
    assert [(0, 40), (10, 10), (39, 1)] == [
        (len(bar) - len(bar.lstrip()), bar.count("█")) for bar in [bars[0], *bars[3:]]
    ]
    assert "x…" in text


def test_a_story_without_items_or_length_is_told(run: Run, tmp_path: Path) -> None:
    """One line is a story, too."""
    path = save(tmp_path / "x.log", line(0))

    assert f"trace {TRACE}: has not ended\n" in run("story", TRACE, path).out
    save(path, request(0, 0))
    assert f"trace {TRACE}: ended well\n" in run("story", TRACE, path).out


def test_errors_before_a_good_end_are_told(run: Run, tmp_path: Path) -> None:
    """A stream that was cut has failed for its user, although its response began with 200."""
    path = save(tmp_path / "x.log", call(10, 20, level="error", outcome="error"), request(0, 30))

    assert f"trace {TRACE}: ended well, after errors\n" in run("story", TRACE, path).out


def test_a_service_whose_worker_was_killed_is_told(run: Run, tmp_path: Path) -> None:
    """Its lines end without the end of a request, and its caller fails."""
    path = save(
        tmp_path / "x.log",
        line(20, service="shop"),
        request(0, 1000, service="front", level="error", status_code=500),
    )

    text = run("story", TRACE, path).out

    assert "\nshop: no request, task or call has ended\n" in text
    assert "front: no request" not in text


def test_local_times_are_those_of_the_machine(run: Run, tmp_path: Path) -> None:
    """The zone is named; JSON has the times as they were written."""
    path = save(tmp_path / "x.log", line(0, level="error"))
    environment = {**os.environ, "TZ": "Asia/Kolkata"}

    text = subprocess.run(
        [*COMMAND, "story", TRACE, path, "--local"],
        env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    save(path, line(0, timestamp="9999-12-31T23:59:59.000000Z"))
    last = subprocess.run(
        [*COMMAND, "story", TRACE, path, "--local"],
        env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    assert "9999-12-31 23:59:59.000000 UTC" in last
    assert "2026-11-30 03:11:07.000000 IST" in text
    assert "03:11:07.000000 error" in text
    assert "9999-12-31T23:59:59.000000Z" in run("story", TRACE, path, "--local", "--json").out


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Whether it is one."""
        return True


def test_a_terminal_has_colors_unless_they_are_not_wanted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """See https://no-color.org."""
    path = save(tmp_path / "x.log", request(0, 5, level="error"))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[31mok" in run("tail", path).out

    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in run("tail", path).out
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run("tail", path).out


def test_a_long_read_shows_progress_on_a_terminal(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cleared in the end."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(terminal, "_PATIENCE", -1)
    path = save(tmp_path / "x.log", line(0))

    assert 0 == run("story", TRACE, path).code
    assert f"\r\x1b[K{path} 100 %\r\x1b[K" == screen.getvalue()
    progress = terminal.ProgressLine()
    progress.at("-", 3 << 20, 0)
    progress.at("-", 4 << 20, 0)
    assert screen.getvalue().endswith("\r\x1b[K- 3 MiB")


def test_without_input_a_sentence_says_what_to_do(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard input is a terminal, or closed."""
    for stdin in (Terminal(), None):
        monkeypatch.setattr(sys, "stdin", stdin)
        result = run("story", TRACE)
        assert 2 == result.code
        assert result.err.startswith("pantheon-obs: no input: name a file")
    assert "pantheon-obs: -: standard input is closed\n" == run("story", TRACE, "-").err


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_help_has_three_examples(run: Run, command: str) -> None:
    """And the exit codes."""
    help_text = run(command, "--help").out

    assert 3 <= help_text.count("\n  ") - help_text.count("\n      ")
    examples = help_text[help_text.index("examples:") :]
    assert 3 == sum(row.startswith("  ") and row[2] != " " for row in examples.splitlines()) - 1
    assert "exit codes:" in examples
    assert all(len(row) <= 100 for row in help_text.splitlines())


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--version"], 0, f"pantheon-obs {__version__}"),
        (["--help"], 0, "examples:"),
        ([], 2, "see pantheon-obs --help"),
        (["stories"], 2, "invalid choice: 'stories'"),
        (["story"], 2, "required: WHAT: see pantheon-obs story --help"),
        (["schema", "--format", "xml"], 2, "invalid choice: 'xml'"),
    ],
)
def test_wrong_use_is_one_line(run: Run, arguments: list[str], code: int, says: str) -> None:
    """Errors are on stderr, and say where to look."""
    result = run(*arguments)

    assert code == result.code
    assert says in (result.err if code else result.out)
    assert (1 if code else 0) == len(result.err.splitlines())


def test_an_interrupt_ends_quietly(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is that of shells."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pantheon_obs.cli.story.find", interrupted)

    assert (130, "", "") == run("story", TRACE)


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    """`pantheon-obs tail FILE | head -1` closes it, if the output is longer than a pipe holds."""
    path = save(tmp_path / "x.log", *(request(at, at + 1) for at in range(5000)))

    for arguments in (["tail", path], ["story", TRACE, path], ["story", TRACE, path, "--json"]):
        with subprocess.Popen(
            [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.read(9)
            process.stdout.close()
            assert b"" == process.stderr.read()
        assert 141 == process.returncode


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")  # noqa: PTH110 - a device
@pytest.mark.parametrize(("where", "code"), [(">/dev/full", 2), (">&-", 0), ("2>&-", 0)])
def test_output_that_goes_nowhere_makes_no_traceback(tmp_path: Path, where: str, code: int) -> None:
    """A full disk is said, and a closed descriptor is wanted."""
    path = save(tmp_path / "shop.log", request(0, 10), "no line of ours")
    command = f"{sys.executable} -m pantheon_obs tail {path} {where}"
    ended = subprocess.run(  # noqa: S602 - the shell closes the descriptor
        command, shell=True, capture_output=True, timeout=SECONDS, check=False
    )
    assert code == ended.returncode
    assert b"Traceback" not in ended.stderr
    assert (code == 2) == (b"No space left on device" in ended.stderr)
    assert bool(ended.stdout) == (where == "2>&-")


def test_sums_that_no_number_holds_are_told(run: Run, tmp_path: Path) -> None:
    """Integers beyond 64 bits are floats in the JSON, and costs beyond all are unknown."""
    calls = [call(10, 20, cost_usd=1e308, input_tokens=2**64 - 1) for _ in range(2)]
    path = save(tmp_path / "shop.log", request(0, 100), *calls)
    told = json.loads(run("story", TRACE, path, "--json").out)
    assert (2.0 * 2**64, None) == (told["input_tokens"], told["cost_usd"])


def test_standard_input_is_read_and_named(tmp_path: Path) -> None:
    """Its service is `-`, and it may be gzip."""
    data = json.dumps(line(0)).encode()
    for arguments in ([], ["-"]):
        result = subprocess.run(
            [*COMMAND, "story", TRACE, *arguments, "--json"],
            input=data, capture_output=True, check=True,
        )  # fmt: skip
        [row] = json.loads(result.stdout)["lines"]
        assert ("-", "-:1") == (row["service"], row["source"])


def test_a_command_imports_only_what_it_needs() -> None:
    """It starts within 120 ms of a bare interpreter; no package beyond the core is imported."""
    code = (
        "import sys; from pantheon_obs.cli.main import build_parser;"
        "build_parser(['story', 'tail', 'schema', 'completion']);"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names))"
    )
    result = subprocess.run(
        [sys.executable, "-Ic", code], capture_output=True, text=True, check=True
    )

    assert not set(eval(result.stdout)) & {"structlog", "asgiref", "duckdb", "jinja2", "sentry_sdk"}  # noqa: S307 - a list of names
    assert "orjson" in result.stdout


def test_main_takes_the_arguments_of_the_process(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The console script calls it without arguments."""
    path = save(tmp_path / "x.log", line(0))
    monkeypatch.setattr(sys, "argv", ["pantheon-obs", "story", TRACE, str(path)])

    assert 0 == main()
    assert TRACE.encode() in capsysbinary.readouterr().out
