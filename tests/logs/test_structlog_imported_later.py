"""structlog is imported by the application or not at all, and obeys the set-up at once."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from tests.logs.running import clean_environment
from tests.support.lines import parse_lines

if TYPE_CHECKING:
    from pathlib import Path

SET_UP = """
import logging, sys
from pantheon_obs import configure_logging, instrument, trace_context
"""


def run(program: str, *options: str, before: str = "") -> list[dict[str, Any]]:
    """Run a program that has not imported structlog, and return its lines."""
    done = subprocess.run(
        [sys.executable, *options, "-c", before + SET_UP + dedent(program)],
        capture_output=True,
        check=False,
        env=clean_environment(PANTHEON_OBS_LOG_FORMAT="json"),
        timeout=60,
    )
    assert (0, b"") == (done.returncode, done.stderr)
    return parse_lines(done.stdout)


def test_the_set_up_imports_neither_structlog_nor_asyncio() -> None:
    """An application that uses neither starts faster; this one speaks WSGI."""
    lines = run("""
        def app(environ, start_response):
            start_response("204 No Content", [])
            return []

        app = instrument(app)
        app({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None).close()
        logging.getLogger("shop").info("%s", sorted({"structlog", "asyncio"} & {*sys.modules}))
    """)

    events = ["observability_configured", "request_finished", "[]"]
    assert events == [line["event"] for line in lines]


@pytest.mark.parametrize(
    "statement",
    [
        "import structlog; get = structlog.get_logger",
        "from structlog.stdlib import get_logger as get",
        "from pantheon_obs import get_logger as get",
        "import structlog.contextvars; get = structlog.get_logger",
    ],
)
def test_structlog_obeys_whichever_statement_imports_it_later(statement: str) -> None:
    """The first line after the import has our form, with the trace and structlog's own fields."""
    [line] = run(f"""
        configure_logging()
        with trace_context("t1"):
            {statement}
            from structlog.contextvars import bind_contextvars
            bind_contextvars(job="nightly")
            get("shop").info("e", n=1)
            structlog = sys.modules["structlog"]
            assert "_Finder" not in repr(sys.meta_path)
            assert structlog.__loader__ is structlog.__spec__.loader
            assert "SourceFileLoader" == type(structlog.__loader__).__name__
    """)

    assert ("e", "t1", "nightly", 1) == (line["event"], line["trace_id"], line["job"], line["n"])


def test_threads_that_import_structlog_at_once_all_obey() -> None:
    """Each of them writes our lines, whichever of them imports structlog."""
    lines = run("""
        from threading import Barrier, Thread
        barrier = Barrier(8)

        def work(number):
            barrier.wait()
            if number % 2:
                from pantheon_obs import get_logger
            else:
                from structlog import get_logger
            configure_logging()
            get_logger("shop").info("e", n=number)

        configure_logging()
        threads = [Thread(target=work, args=(number,)) for number in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    """)

    assert {*range(8)} == {line["n"] for line in lines}
    assert {"e"} == {line["event"] for line in lines}


def test_looking_for_structlog_does_not_import_it() -> None:
    """An application may ask whether it is installed, and read its source."""
    [line] = run("""
        from importlib.util import find_spec
        configure_logging()
        spec = find_spec("structlog")
        source = spec.loader.get_source("structlog")
        assert "structlog" not in sys.modules
        import structlog
        structlog.get_logger("shop").info("e", known="get_logger" in source)
    """)

    assert ("e", True) == (line["event"], line["known"])


def test_a_finder_of_the_old_kind_is_left_out() -> None:
    """The import system asks such a finder in another way, or not at all since Python 3.12."""
    [line] = run("""
        class Old:
            def find_module(self, name, path=None):
                pass

        configure_logging()
        sys.meta_path.append(Old())
        sys.meta_path.insert(1, Old())
        import structlog
        structlog.get_logger("shop").info("e")
    """)

    assert "e" == line["event"]


def test_structlog_that_is_not_there_is_not_found() -> None:
    """The application's import fails as it would without us."""
    [line] = run("""
        configure_logging()
        sys.path.clear()
        try:
            import structlog
        except ModuleNotFoundError as error:
            logging.getLogger("shop").info("%s", error)
    """)

    assert "No module named 'structlog'" == line["event"]


def test_a_structlog_whose_import_is_forbidden_does_not_stop_the_set_up() -> None:
    """`None` in `sys.modules` forbids an import, by the documentation of the import system."""
    [line] = run("""
        sys.modules["structlog"] = None
        configure_logging()
        logging.getLogger("shop").info("e")
    """)

    assert "e" == line["event"]


def test_a_structlog_that_we_do_not_know_is_imported_all_the_same(tmp_path: Path) -> None:
    """Its loggers are its own then, and one line says that they are not ours."""
    (tmp_path / "structlog.py").write_text("BEGUN = True\n")
    told, line = run(f"""
        configure_logging()
        sys.path.insert(0, {str(tmp_path)!r})
        import structlog
        logging.getLogger("shop").info("e", extra={{"begun": structlog.BEGUN}})
    """)

    assert ("telemetry_failed", "import of structlog") == (told["event"], told["site"])
    assert ("e", True) == (line["event"], line["begun"])


def test_a_reset_leaves_the_import_system_as_it_was() -> None:
    """After it structlog prints by itself, although it is imported only then."""
    [line] = run("""
        from pantheon_obs.testing import reset
        before = [*sys.meta_path]
        configure_logging()
        while_set_up = [*sys.meta_path]
        reset()
        assert before == sys.meta_path
        import structlog
        structlog.configure(processors=[structlog.processors.JSONRenderer()])
        configure_logging()
        logging.getLogger("shop").info("e", extra={"added": len(while_set_up) - len(before)})
    """)

    assert ("e", 1) == (line["event"], line["added"])


def test_a_trace_begins_without_the_fields_of_structlog_after_a_reset_as_well() -> None:
    """Middleware that was made before the reset goes on to begin clean traces."""
    _, line = run("""
        from pantheon_obs.testing import reset

        def app(environ, start_response):
            start_response("204 No Content", [])
            return [repr(structlog.contextvars.get_contextvars()).encode()]

        served = instrument(app)
        reset()
        import structlog
        structlog.contextvars.bind_contextvars(job="nightly")
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
        parts = served(environ, lambda *_: None)
        configure_logging()
        logging.getLogger("shop").info("%s", b"".join(parts).decode())
    """)

    assert ("{}", "nightly") == (line["event"], line["job"])


def test_our_events_have_the_fields_of_structlog_beside_logging_of_the_application() -> None:
    """They do where the application keeps its own logging, and imports structlog later."""
    lines = run("""
        from pantheon_obs import _setup
        from pantheon_obs.core.settings import resolve
        _setup.start(resolve(None, {}), lambda: resolve(None, {}), is_kept=True)
        import structlog
        structlog.contextvars.bind_contextvars(job="nightly")
        logging.getLogger("pantheon_obs").warning("e")
    """)

    assert [("e", "nightly")] == [(line["event"], line["job"]) for line in lines]
