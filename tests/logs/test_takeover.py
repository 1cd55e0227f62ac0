"""Handlers that print are replaced; others stay."""

from __future__ import annotations

import pytest

from tests.logs.running import run

PRINTING = {
    "StreamHandler to stderr": "logging.StreamHandler()",
    "StreamHandler to stdout": "logging.StreamHandler(sys.stdout)",
    "the first stdout": "logging.StreamHandler(sys.__stdout__)",
    "another stream over the descriptor": "logging.StreamHandler(open(1, 'w', closefd=False))",
    "a console object": "WithConsole()",
    "MemoryHandler": "logging.handlers.MemoryHandler(1, target=logging.StreamHandler())",
    "QueueHandler with its listener": "with_listener(logging.StreamHandler())",
    "QueueHandler with a running listener": "with_thread(logging.StreamHandler(sys.stdout))",
}
HELPERS = """
import logging.handlers, queue, types
class WithConsole(logging.Handler):
    console = types.SimpleNamespace(file=sys.stderr)
    def emit(self, record):
        self.console.file.write(self.format(record))
def with_listener(*behind):
    handler = logging.handlers.QueueHandler(queue.SimpleQueue())
    handler.listener = logging.handlers.QueueListener(handler.queue, *behind)
    handler.listener.start()
    return handler
def with_thread(*behind):
    handler = logging.handlers.QueueHandler(queue.SimpleQueue())
    logging.handlers.QueueListener(handler.queue, *behind).start()
    return handler
"""


@pytest.mark.parametrize("name", ["", "shop"], ids=["root", "a logger of its own"])
@pytest.mark.parametrize("handler", PRINTING)
def test_a_handler_that_prints_is_replaced(handler: str, name: str) -> None:
    """Each event is printed once, for every logger that had a console handler."""
    done = run(
        HELPERS
        + f"""
logger = logging.getLogger({name!r})
logger.addHandler({PRINTING[handler]})
logger.propagate = False
configure_logging()
logging.getLogger({name!r}).warning("once")
"""
    )

    assert ["once"] == done.events


def test_a_warning_that_reaches_no_handler_is_a_line() -> None:
    """Logging's last resort would print it raw; a record that it would not print is dropped."""
    done = run(
        """
from pantheon_obs.testing import reset
logger = logging.getLogger("shop")
logger.propagate = False
configure_logging()
logger.warning("password=%s", "a1b2c3")
logger.info("hidden")
logging.getLogger().handlers.clear()
logging.getLogger("other").warning("cleared")
reset()
assert logging.lastResort is logging._defaultLastResort
"""
    )

    assert ["password=[redacted]", "cleared"] == done.events


def test_a_last_resort_of_the_application_stays() -> None:
    """None is one: nothing is printed."""
    done = run(
        """
logging.lastResort = None
logging.getLogger("shop").propagate = False
configure_logging()
logging.getLogger("shop").warning("hidden")
from pantheon_obs.testing import reset
reset()
assert logging.lastResort is None
"""
    )

    assert b"" == done.stdout  # nor an uncaught exception


def test_handlers_that_do_not_print_stay() -> None:
    """Handlers of files, sockets and memory stay, and so do queues in front of them."""
    done = run(
        HELPERS
        + """
import io, os, tempfile
class Kept(logging.Handler):
    def emit(self, record):
        pass
path = tempfile.mktemp()
root = logging.getLogger()
seen = io.StringIO()
kept = [
    logging.FileHandler(path, delay=True),
    logging.StreamHandler(seen),
    logging.NullHandler(),
    logging.handlers.MemoryHandler(9),
    logging.handlers.MemoryHandler(9, target=logging.StreamHandler(seen)),
    logging.handlers.QueueHandler(queue.SimpleQueue()),
    with_listener(logging.StreamHandler(seen)),
    Kept(),
]
for handler in kept:
    root.addHandler(handler)
configure_logging()
get_logger("a").warning("e")
left = [handler for handler in root.handlers if handler in kept]
logging.getLogger("b").info("%s %s", left == kept, seen.getvalue())
os.unlink(path)
"""
    )

    assert "e" == done.events[0]
    assert done.events[1].startswith("True e")


def test_a_listener_loses_only_handlers_that_print() -> None:
    """A queue that leads to a file and to the console then leads to the file only."""
    done = run(
        HELPERS
        + """
import io
seen = io.StringIO()
handler = with_listener(logging.StreamHandler(), logging.StreamHandler(seen))
logging.getLogger().addHandler(handler)
configure_logging()
logging.warning("e")
handler.listener.stop()
sys.stdout.write(seen.getvalue() and '')
logging.getLogger("seen").info(seen.getvalue())
"""
    )

    assert ["e", "e\n"] == done.events


def test_servers_loggers_obey_log_level() -> None:
    """A server's handlers are removed, and so is INFO, its default level."""
    done = run("""
        names = ("uvicorn", "uvicorn.error", "gunicorn.error", "hypercorn.error", "_granian")
        for name in names:
            logger = logging.getLogger(name)
            logger.addHandler(logging.StreamHandler())
            logger.setLevel("INFO")
            logger.propagate = False
        configure_logging(log_level="DEBUG")
        for name in names:
            logging.getLogger(name).debug(name)
    """)

    assert ["uvicorn", "uvicorn.error", "gunicorn.error", "hypercorn.error", "_granian"] == (
        done.events
    )


def test_a_server_s_logger_that_the_application_has_made_stricter_stays_so() -> None:
    """A logger that is disabled, or stricter than `log_level`, stays so at each take-over."""
    done = run("""
        from pantheon_obs.sinks.logs import configure
        logging.getLogger("werkzeug").setLevel("ERROR")
        logging.getLogger("uvicorn.error").setLevel("WARNING")
        logging.getLogger("hypercorn.error").setLevel("DEBUG")
        logging.getLogger("django").setLevel("ERROR")
        logging.getLogger("celery.task").setLevel("WARNING")  # Celery's default
        logging.getLogger("gunicorn.error").disabled = True
        configure_logging(log_level="INFO")
        logging.getLogger().setLevel(5)
        configure.reassert()
        configure.take_back()
        logging.getLogger().log(5, "root")
        for name in ("werkzeug", "uvicorn.error", "django"):
            logging.getLogger(name).info("never")
            logging.getLogger(name).error(name)
        for name in ("hypercorn.error", "celery.task", "gunicorn.error"):
            logging.getLogger(name).debug(name)
            logging.getLogger(name).critical(name)
    """)

    assert [
        "root",
        *("werkzeug", "uvicorn.error", "django"),
        *("hypercorn.error", "hypercorn.error", "celery.task", "celery.task"),
    ] == done.events


def test_access_logs_are_dropped() -> None:
    """`request_finished` has more fields, and leaves the query string out."""
    done = run("""
        for name in ("uvicorn.access", "gunicorn.access", "hypercorn.access", "granian.access"):
            logging.getLogger(name).addHandler(logging.StreamHandler(sys.stdout))
            logging.getLogger(name).setLevel("INFO")
        configure_logging()
        for name in ("uvicorn.access", "gunicorn.access", "hypercorn.access", "granian.access"):
            logging.getLogger(name).info('%s - "GET /?token=s"', "127.0.0.1")
        logging.info("end")
    """)

    assert ["end"] == done.events


def test_websocket_lines_of_uvicorn_are_dropped() -> None:
    """The lines are dropped because they contain the query string."""
    done = run("""
        configure_logging()
        uvicorn = logging.getLogger("uvicorn.error")
        uvicorn.info('%s - "WebSocket %s" [accepted]', "127.0.0.1", "/ws?token=s")
        uvicorn.info('%s - "WebSocket %s" 403', "127.0.0.1", "/ws?token=s")
        uvicorn.info("connection open")
    """)

    assert ["connection open"] == done.events


def test_a_dict_config_of_the_application_is_taken_over_at_start_up() -> None:
    """dictConfig replaces handlers and disables loggers; the start of the server undoes that."""
    done = run("""
        import logging.config
        from pantheon_obs.core.events import BackgroundFailed
        from pantheon_obs.core.pipeline import emit
        from pantheon_obs.sinks.logs import configure
        configure_logging()
        logging.getLogger("pantheon_obs.request")
        logging.config.dictConfig({
            "version": 1,
            "handlers": {"console": {"class": "logging.StreamHandler"}},
            "root": {"handlers": ["console"], "level": "ERROR"},
        })
        configure.reassert()
        logging.getLogger("new").info("theirs")
        emit(BackgroundFailed(trace_id="t", bound={}, error=OSError("disk")))
    """)

    assert ["theirs", "background_failed"] == done.events


def test_reasserting_before_configuration_does_nothing() -> None:
    """A start-up without our logging leaves the application's as it is."""
    done = run("""
        from pantheon_obs.sinks.logs import configure
        configure.reassert()
        assert configure.active_format() == "" and configure.active_emitter() is None
        assert logging.getLogger().handlers == []
    """)

    assert (b"", b"", 0) == (done.stdout, done.stderr, done.status)


def test_a_repeated_traceback_of_a_server_is_dropped() -> None:
    """A server's line about an exception is dropped where one of our lines has the traceback."""
    done = run("""
        from pantheon_obs.core.events import RequestFinished
        from pantheon_obs.core.pipeline import emit
        configure_logging()
        try:
            1 / 0
        except ZeroDivisionError as error:
            for _ in range(2):
                logging.getLogger("uvicorn.error").error("Exception in ASGI application",
                                                         exc_info=error)
            emit(RequestFinished(trace_id="t", bound={}, method="GET", path="/", status_code=500,
                                 latency_ms=1.0, outcome="error", error=error))
        logging.getLogger("uvicorn.error").error("no exception", exc_info=True)
    """)

    assert ["Exception in ASGI application", "request_finished", "no exception"] == done.events
    assert [True, False, False] == ["exception" in line for line in done.lines]


def test_a_line_that_is_not_written_claims_no_traceback() -> None:
    """If the request's own line is off, the server's line stays."""
    done = run("""
        from pantheon_obs.core.events import RequestFinished
        from pantheon_obs.core.pipeline import emit
        configure_logging()
        logging.getLogger("pantheon_obs.request").setLevel("CRITICAL")
        error = ValueError("boom")
        emit(RequestFinished(trace_id="t", bound={}, method="GET", path="/", status_code=500,
                             latency_ms=1.0, outcome="error", error=error))
        logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=error)
    """)

    assert ["Exception in ASGI application"] == done.events


LATE = """
def late(name, stream, level="INFO"):
    logger = logging.getLogger(name)
    logger.handlers = [logging.StreamHandler(stream)]
    logger.setLevel(level)
    logger.propagate = False
    return logger
"""


def test_a_server_s_logger_is_taken_over_however_late_it_gets_its_handler() -> None:
    """hypercorn makes its loggers anew with the first line of its own, when the app has started."""
    done = run(
        LATE
        + """
configure_logging(log_level="WARNING")
error = late("hypercorn.error", sys.stderr)
access = late("hypercorn.access", sys.stdout)
error.info("below the level")
error.warning("once")
access.info("never")
error.setLevel("ERROR")
error.warning("the application's own level counts")
error.error("twice")
"""
    )

    assert ["once", "twice"] == done.events


def test_access_lines_go_on_into_a_file() -> None:
    """The application's file gets access lines, and they are not printed."""
    done = run(
        LATE
        + """
import io
configure_logging()
access = late("hypercorn.access", sys.stdout)
access.addHandler(logging.StreamHandler(seen := io.StringIO()))
access.info("GET /")
logging.info(seen.getvalue())
"""
    )

    assert ["GET /\n"] == done.events


def test_a_reset_lets_the_servers_loggers_go() -> None:
    """After a reset the servers' loggers keep the handlers that they get."""
    done = run(
        LATE
        + """
from pantheon_obs.testing import reset
configure_logging()
reset()
late("hypercorn.error", sys.stdout).info("plain")
late("hypercorn.access", sys.stdout).info("access")
"""
    )

    assert (b"plain\naccess\n", b"") == (done.stdout, done.stderr)


@pytest.mark.parametrize("level", ["INFO", "CRITICAL"])
def test_a_traceback_that_a_server_has_only_as_text_is_not_repeated(level: str) -> None:
    """The text is dropped, unless the request's line is off or the error escaped from no trace."""
    done = run(f"""
        from pantheon_obs.core.context import Trace
        from pantheon_obs.core.failures import escape
        configure_logging()
        logging.getLogger("pantheon_obs.request").setLevel({level!r})
        class Broken(Exception):
            def __str__(self):
                raise ValueError
        granian = logging.getLogger("_granian.utils")
        for error in (KeyError("k"), ValueError("x" * 1000), Broken()):
            escape(error, Trace("t"), covered=True)
            text = type(error).__name__
            granian.error("Application callable raised an exception\\nTraceback\\n" + text)
        granian.error("Application callable raised an exception\\nTraceback\\nKeyError: other")
    """)

    texts = [event.rpartition("\n")[2] for event in done.events]
    repeated = [] if level == "INFO" else ["KeyError", "ValueError", "Broken"]
    assert [*repeated, "KeyError: other"] == texts
