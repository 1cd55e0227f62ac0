"""A command that does not serve keeps its standard output for its own output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.logs.running import SECONDS_TO_WAIT, Finished, clean_environment, run
from tests.support.lines import parse_lines
from tests.support.server import Server, free_port

if TYPE_CHECKING:
    from pathlib import Path

FLASK = """
import logging
import click
import flask
from pantheon_obs import instrument
app = flask.Flask(__name__)
{extra}
instrument(app)
logging.getLogger("shop").info("made")
@app.cli.command()
def fail():
    logging.getLogger("shop").info("about to fail")
    raise LookupError("no such order")
@app.cli.command()
def ask():
    click.echo(app.test_client().get("/nowhere").status_code)
"""
QUART = """
import logging
import quart
from pantheon_obs import instrument
app = quart.Quart(__name__)
instrument(app)
logging.getLogger("shop").info("made")
"""
LITESTAR = """
import logging
import litestar
from pantheon_obs import instrument
app = litestar.Litestar()
instrument(app)
logging.getLogger("shop").info("made")
"""


def command(folder: Path, program: str, *arguments: str, **variables: str) -> Finished:
    """Write the application into a folder, and run a framework's command there."""
    folder.joinpath("app.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=clean_environment(PYTHONPATH=os.fspath(folder), NO_COLOR="1", **variables),
        capture_output=True,
        check=False,
        timeout=SECONDS_TO_WAIT,
    )
    return Finished(done.stdout, done.stderr, done.returncode)


def events(output: bytes) -> list[str]:
    """Return the event of each line that is one of ours."""
    ours = [line for line in output.splitlines() if line.startswith(b'{"timestamp"')]
    return [line["event"] for line in parse_lines(b"".join(line + b"\n" for line in ours))]


@pytest.mark.parametrize(
    ("framework", "program", "arguments", "printed"),
    [
        ("flask", FLASK, ("flask", "routes"), b"Endpoint"),
        ("quart", QUART, ("quart", "routes"), b"Endpoint"),
        ("litestar", LITESTAR, ("litestar", "--app", "app:app", "info"), b"Litestar version"),
    ],
)
def test_a_command_of_a_framework_has_its_output_to_itself(
    tmp_path: Path, framework: str, program: str, arguments: tuple[str, ...], printed: bytes
) -> None:
    """Log lines go to standard error; nothing is announced, because nothing serves."""
    pytest.importorskip(framework)

    done = command(tmp_path, program.replace("{extra}", ""), *arguments)

    assert 0 == done.status, done.stderr
    assert printed in done.stdout
    assert b"timestamp" not in done.stdout
    assert ["made"] == events(done.stderr)


@pytest.mark.parametrize(
    ("framework", "program", "arguments", "before"),
    [
        ("flask", FLASK, ("flask", "run"), []),
        ("quart", QUART, ("quart", "run"), []),
        # It loads the application before it knows which command is asked for.
        ("litestar", LITESTAR, ("litestar", "--app", "app:app", "run"), ["made"]),
    ],
)
def test_the_command_that_serves_logs_as_a_server(
    tmp_path: Path, framework: str, program: str, arguments: tuple[str, ...], before: list[str]
) -> None:
    """Its lines go to standard output, and serving is announced before the first request."""
    pytest.importorskip(framework)
    tmp_path.joinpath("app.py").write_text(program.replace("{extra}", ""))
    port = free_port()
    env = {"PYTHONPATH": os.fspath(tmp_path), "FLASK_APP": "app", "QUART_APP": "app"}

    with Server(*arguments, "--port", f"{port}", port=port, env=env) as server:
        server.stop(signal.SIGINT)

    out, err = (events("\n".join(lines).encode()) for lines in (server.out, server.err))
    assert 1 == out.count("observability_configured")
    assert before == [event for event in err if event == "made"]
    assert before or ["observability_configured", "made"] == out[:2]


@pytest.mark.parametrize(
    ("variables", "stream"),
    [({"PANTHEON_OBS_LOG_STREAM": "stdout"}, "stdout"), ({}, "stderr")],
)
def test_the_setting_wins_over_the_command(
    tmp_path: Path, variables: dict[str, str], stream: str
) -> None:
    """With `log_stream="stdout"` a command's lines go there."""
    pytest.importorskip("flask")

    done = command(tmp_path, FLASK.replace("{extra}", ""), "flask", "routes", **variables)

    assert {"stdout": [], "stderr": [], stream: ["made"]} == {
        "stdout": events(done.stdout),
        "stderr": events(done.stderr),
    }


def test_logging_that_the_application_configures_itself_obeys_too(tmp_path: Path) -> None:
    """The first set-up in the process decides, whichever function makes it."""
    pytest.importorskip("flask")
    extra = "from pantheon_obs import configure_logging\nconfigure_logging(service='shop')"

    done = command(tmp_path, FLASK.replace("{extra}", extra), "flask", "routes")

    assert b"timestamp" not in done.stdout
    assert ["made"] == events(done.stderr)


@pytest.mark.parametrize("log_stream", ["auto", "stdout"])
def test_a_command_that_fails_leaves_its_traceback_as_text(tmp_path: Path, log_stream: str) -> None:
    """Python prints the traceback on standard error, and no line has it."""
    pytest.importorskip("flask")
    program = FLASK.replace("{extra}", "")

    done = command(tmp_path, program, "flask", "fail", PANTHEON_OBS_LOG_STREAM=log_stream)

    assert 1 == done.status
    assert done.stderr.endswith(b"\nLookupError: no such order\n")
    assert 1 == done.stderr.count(b"Traceback (most recent call last)")
    assert b"Traceback" not in done.stdout
    assert ["made", "about to fail"] == events(done.stderr + done.stdout)


def test_a_command_that_sends_a_request_announces_it_once(tmp_path: Path) -> None:
    """The application starts then; its lines stay on standard error."""
    pytest.importorskip("flask")

    done = command(tmp_path, FLASK.replace("{extra}", ""), "flask", "ask")

    assert b"404\n" == done.stdout
    assert ["made", "observability_configured", "request_finished"] == events(done.stderr)


def test_threads_and_finalizers_of_a_command_report_in_text_too(tmp_path: Path) -> None:
    """Python prints their exceptions as usual, and no log line has them."""
    pytest.importorskip("flask")
    extra = """
import threading
@app.cli.command()
def spread():
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    class Leaky:
        def __del__(self):
            raise ValueError("in del")
    Leaky()
"""
    done = command(tmp_path, FLASK.replace("{extra}", extra), "flask", "spread")

    assert (b"", 0) == (done.stdout, done.status)
    assert 2 == done.stderr.count(b"Traceback (most recent call last)")
    assert b"ZeroDivisionError: division by zero\n" in done.stderr
    assert b"ValueError: in del\n" in done.stderr
    assert ["made"] == events(done.stderr)


def test_a_server_may_log_to_standard_error() -> None:
    """With `log_stream="stderr"` every line goes there, an uncaught exception's included."""
    done = run("""
        configure_logging(log_stream="stderr")
        get_logger("a").info("first")
        1 / 0
    """)

    assert b"" == done.stdout
    assert ["first", "uncaught_exception"] == events(done.stderr)
    assert 2 == len(done.stderr.splitlines())


def test_standard_error_that_is_replaced_gets_the_lines() -> None:
    """A stream that stands there before logging is configured gets all lines; a later one none."""
    done = run("""
        import io
        sys.stderr = caught = io.StringIO()
        configure_logging(log_stream="stderr")
        get_logger("a").info("first")
        class Loop(io.StringIO):
            def write(self, text):
                get_logger("loop").info("looped")
        sys.stderr = Loop()
        get_logger("a").info("last")
        sys.stderr = sys.__stderr__
        print(caught.getvalue(), end="")
    """)

    assert ["first", "last"] == events(done.stdout)
