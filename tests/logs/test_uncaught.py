"""An exception that nobody catches is one line, in threads and finalizers too."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace

import pytest

from tests.logs.running import run
from tests.support.lines import parse_lines


def test_an_exception_in_the_main_thread_is_one_critical_line() -> None:
    """The line has the traceback, and the exit status does not change."""
    done = run("configure_logging()\n1 / 0")

    [line] = done.lines
    assert ("uncaught_exception", "critical", "main", "ZeroDivisionError") == (
        line["event"],
        line["level"],
        line["where"],
        line["error_type"],
    )
    assert line["exception"].endswith("ZeroDivisionError: division by zero")
    assert 1 == done.status


def test_an_interrupted_program_ends_as_without_us() -> None:
    """KeyboardInterrupt is a line too, and the status is that of the signal."""
    done = run("""
        import os, signal
        # A shell starts what is to run in the background with the signal ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        configure_logging()
        os.kill(os.getpid(), signal.SIGINT)
    """)

    assert ["KeyboardInterrupt"] == [line["error_type"] for line in done.lines]
    assert -2 == done.status


def test_sys_exit_is_no_failure() -> None:
    """`sys.exit` writes no line."""
    done = run("configure_logging(); sys.exit(3)")

    assert ([], 3) == (done.lines, done.status)


def test_an_exception_in_a_thread_is_one_error_line() -> None:
    """The line has the thread's name; SystemExit in a thread writes no line."""
    done = run("""
        import threading
        configure_logging()
        def fail(error):
            raise error
        for error in (ValueError("boom"), SystemExit(1)):
            thread = threading.Thread(target=fail, args=(error,), name="worker-7")
            thread.start()
            thread.join()
    """)

    [line] = done.lines
    assert ("uncaught_exception", "error", "thread", "worker-7", "ValueError") == tuple(
        line[key] for key in ("event", "level", "where", "thread_name", "error_type")
    )


def test_an_exception_in_a_finalizer_is_one_error_line() -> None:
    """The line of an exception in `__del__` names the object."""
    done = run("""
        configure_logging()
        class Leaky:
            def __del__(self):
                raise ValueError("in del")
        Leaky()
    """)

    [line] = done.lines
    assert ("uncaught_exception", "error", "unraisable", "Exception ignored in") == tuple(
        line[key] for key in ("event", "level", "where", "reason")
    )
    assert "Leaky.__del__" in line["object"]
    assert line["exception"].endswith("ValueError: in del")


def test_an_exception_in_an_exit_function_is_one_error_line() -> None:
    """Lines are still written while exit functions run."""
    done = run("""
        import atexit
        configure_logging()
        atexit.register(lambda: 1 / 0)
        get_logger("a").info("e")
    """)

    assert ["e", "uncaught_exception"] == done.events


def test_a_finalizer_at_the_very_end_is_one_line() -> None:
    """An object that lives until the interpreter is taken down can still fail."""
    done = run("""
        configure_logging()
        class Leaky:
            def __del__(self):
                raise ValueError("at exit")
        kept = Leaky()
    """)

    assert ["ValueError"] == [line["error_type"] for line in done.lines]


def test_an_exception_in_a_task_is_one_error_line() -> None:
    """asyncio reports tasks that nobody awaited, and callbacks, through its logger."""
    done = run("""
        import asyncio, gc
        configure_logging()
        async def fail():
            raise ValueError("in task")
        async def main():
            asyncio.ensure_future(fail())
            asyncio.get_running_loop().call_soon(lambda: {}["callback"])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            gc.collect()
        asyncio.run(main())
        gc.collect()
    """)

    assert {("asyncio", "KeyError"), ("asyncio", "ValueError")} == {
        (line["logger"], line["error_type"]) for line in done.lines
    }
    assert 2 == len(done.lines)


def test_a_coroutine_that_was_never_awaited_is_a_warning() -> None:
    """A warning of the interpreter becomes a line."""
    done = run("""
        configure_logging()
        async def forgotten(): pass
        forgotten()
    """)

    [line] = done.lines
    assert ("py.warnings", "warning", "RuntimeWarning") == tuple(
        line[key] for key in ("logger", "level", "category")
    )


def test_warnings_are_lines_with_their_place() -> None:
    """The line of a warning has its category, file and line number as fields."""
    done = run("""
        import warnings
        configure_logging()
        warnings.warn("old", DeprecationWarning)
    """)

    [line] = done.lines
    assert ("old", "DeprecationWarning", "<string>") == tuple(
        line[key] for key in ("event", "category", "file")
    )
    assert isinstance(line["line"], int)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_captured_warnings_of_the_standard_library_are_one_line(*, before: bool) -> None:
    """An application that calls `logging.captureWarnings(True)` gets one line per warning too."""
    calls = ["logging.captureWarnings(True)", "configure_logging()"]
    done = run(
        "import warnings\n"
        + "\n".join(calls if before else reversed(calls))
        + "\nwarnings.warn('old')"
    )

    [line] = done.lines
    assert "py.warnings" == line["logger"]
    assert "old" in line["event"]


def test_a_warning_for_a_file_goes_to_that_file() -> None:
    """`warnings.showwarning` with a file is a request to write there."""
    done = run("""
        import io, warnings
        configure_logging()
        file = io.StringIO()
        warnings.showwarning("old", UserWarning, "f.py", 7, file, "code()")
        logging.info(file.getvalue())
    """)

    assert ["f.py:7: UserWarning: old\n  code()\n"] == done.events


def test_warnings_that_are_errors_stay_errors() -> None:
    """`-W error` is obeyed, and raises where the warning is given."""
    done = run("""
        import warnings
        warnings.simplefilter("error")
        configure_logging()
        warnings.warn("old")
    """)

    assert ["UserWarning"] == [line["error_type"] for line in done.lines]
    assert 1 == done.status


GROUP = """
configure_logging()
def fail():
    local = "hunter2"
    try:
        {}["cause"]
    except KeyError as error:
        raise ExceptionGroup("several", [ValueError("one"), OSError("two")]) from error
"""


def test_causes_and_groups_are_kept_and_locals_are_not() -> None:
    """A traceback has all causes and groups, and no value of a variable."""
    done = run(GROUP + "fail()")

    [line] = done.lines
    assert "ExceptionGroup" == line["error_type"]
    for part in ("KeyError: 'cause'", "direct cause", "ValueError: one", "OSError: two"):
        assert part in line["exception"]
    assert "hunter2" not in line["exception"]


def test_an_exception_that_was_logged_and_raised_again_has_one_traceback() -> None:
    """The application's line has it; the line about the end of the program names its type."""
    done = run("""
        configure_logging()
        try:
            1 / 0
        except ZeroDivisionError:
            logging.exception("failed")
            raise
    """)

    logged, uncaught = done.lines
    assert "exception" in logged
    assert "exception" not in uncaught
    assert "ZeroDivisionError" == uncaught["error_type"]


HOSTILE = """
configure_logging()
class Hostile(Exception):
    def __str__(self): raise RuntimeError("no text")
    __repr__ = __str__
class Sealed(Exception):
    __slots__ = ()
    def __setattr__(self, name, value): raise AttributeError(name)
"""


@pytest.mark.parametrize("raised", ["Hostile()", "Sealed('x')"])
def test_an_exception_that_cannot_be_read_or_marked_is_a_line(raised: str) -> None:
    """An exception whose attributes raise is still logged."""
    done = run(HOSTILE + f"raise {raised}")

    [line] = done.lines
    assert line["error_type"] in ("Hostile", "Sealed")


def test_an_exception_whose_traceback_cannot_be_made_is_a_line() -> None:
    """Not even a broken `__notes__`, or a `__cause__` that lies, loses the line."""
    done = run("""
        configure_logging()
        class Evil(Exception):
            @property
            def __cause__(self): raise RuntimeError("no cause")
        raise Evil("x")
    """)

    [line] = done.lines
    assert "Evil (RuntimeError while it was formatted)" == line["exception"]


def test_hooks_that_stood_there_before_are_called() -> None:
    """The application's hooks still run, and their output is printed."""
    done = run("""
        import threading
        called = []
        def said(text):
            called.append(text)
            print("said:", text, file=sys.stderr)
        def before(*args):
            said("main")
        def before_thread(args):
            said("thread")
        def before_unraisable(args):
            said("unraisable")
        sys.excepthook = before
        threading.excepthook = before_thread
        sys.unraisablehook = before_unraisable
        configure_logging()
        import atexit
        atexit.register(lambda: logging.info(",".join(called)))
        class Leaky:
            def __del__(self): raise ValueError
        Leaky()
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
        raise ValueError
    """)

    events = [line["event"] for line in parse_lines(done.stdout)]
    assert [*["uncaught_exception"] * 3, "unraisable,thread,main"] == events
    assert b"said: unraisable\nsaid: thread\nsaid: main\n" == done.stderr


def test_a_hook_that_was_taken_away_is_put_in_place_by_a_second_start() -> None:
    """Code that restores the earlier hooks, as `catch_warnings` does, takes ours with it."""
    done = run("""
        import warnings
        from pantheon_obs import testing
        with warnings.catch_warnings():
            configure_logging()
        testing.reset()
        configure_logging()
        warnings.warn("old")
    """)

    assert [b"", ["py.warnings"]] == [
        done.stderr,
        [line["logger"] for line in parse_lines(done.stdout)],
    ]


def test_hooks_that_call_ours_are_called_once_after_a_second_start() -> None:
    """A hook that has replaced ours, as Sentry's does, calls ours: it stays below when we start."""
    done = run("""
        import io, threading, warnings
        from pantheon_obs import testing
        def say(name, before=None):
            def hook(*args):
                print(name, file=sys.stderr)
                if before is not None:
                    before(*args)
            return hook
        places = (
            *[(sys, "excepthook"), (sys, "unraisablehook")],
            *[(threading, "excepthook"), (warnings, "showwarning")],
        )
        for place in places:
            setattr(*place, say("first"))
        configure_logging()
        for place in places:
            setattr(*place, say("above", getattr(*place)))
        testing.reset()
        class Leaky:
            def __del__(self): raise ValueError
        def fail():
            Leaky()
            thread = threading.Thread(target=lambda: 1 / 0)
            thread.start()
            thread.join()
            warnings.showwarning("old", UserWarning, "f.py", 7, io.StringIO())
        fail()
        print("again", file=sys.stderr)
        configure_logging()
        fail()
        raise ValueError
    """)

    hooks, again = [b"above", b"first"] * 3, [b"above", b"first"] * 4
    assert [*hooks, b"again", *again] == done.stderr.split()
    where = [line["where"] for line in parse_lines(done.stdout)]
    assert ["unraisable", "thread", "main"] == where


def test_a_hook_that_goes_on_to_python_s_own_prints_its_own_words_only() -> None:
    """Our line has the traceback, which Python's own hook would print."""
    done = run("""
        def wrap(before):
            def hook(*args):
                print("goodbye", file=sys.stderr)
                if not args:
                    never_set
                before(*args)
            return hook
            never_set = None
        sys.excepthook = wrap(sys.excepthook)
        configure_logging()
        1 / 0
    """)

    [line] = parse_lines(done.stdout)
    assert ("ZeroDivisionError", b"goodbye\n") == (line["error_type"], done.stderr)


def test_reset_gives_the_hooks_back() -> None:
    """Reset restores the hooks, unless others have replaced them since."""
    done = run("""
        import threading, warnings
        from pantheon_obs.testing import reset
        def hooks():
            return [sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning]
        before = hooks()
        configure_logging()
        assert not set(before) & set(hooks())
        reset()
        assert before == hooks()
        configure_logging()
        others = [lambda *args: None for _ in range(4)]
        sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = others
        reset()
        assert others == hooks()
        reset()
    """)

    assert (b"", 0) == (done.stderr, done.status)


def test_sentry_s_hooks_do_not_print_a_second_traceback() -> None:
    """Sentry's hook calls the one before it, which prints: with us it does not."""
    pytest.importorskip("sentry_sdk")
    done = run("""
        import sentry_sdk
        sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", shutdown_timeout=0,
                        transport=lambda event: None, auto_enabling_integrations=False)
        configure_logging()
        raise ValueError("boom")
    """)

    uncaught = [line for line in done.lines if line["event"] == "uncaught_exception"]
    assert ["ValueError"] == [line["error_type"] for line in uncaught]


def test_the_hooks_accept_missing_arguments(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    """A thread or an exception may be gone by the time a hook is called."""
    from pantheon_obs import configure_logging  # noqa: PLC0415 - beside its use
    from pantheon_obs.sinks.logs import hooks  # noqa: PLC0415 - as above
    from tests.support.lines import parse_lines  # noqa: PLC0415 - as above

    before = threading.excepthook, sys.unraisablehook
    threading.excepthook, sys.unraisablehook = threading.__excepthook__, sys.__unraisablehook__
    try:
        configure_logging(log_format="json")
        hooks.install()
        threading.excepthook(threading.ExceptHookArgs((ValueError, ValueError("x"), None, None)))
        sys.unraisablehook(
            SimpleNamespace(  # type: ignore[arg-type]
                exc_type=ValueError, exc_value=None, exc_traceback=None, err_msg="odd", object=None
            )
        )
    finally:
        hooks.uninstall()
        threading.excepthook, sys.unraisablehook = before

    thread, unraisable = parse_lines(capsysbinary.readouterr().out)
    assert (None, "ValueError: x") == (thread["thread_name"], thread["exception"])
    assert ("odd", "None") == (unraisable["reason"], unraisable["object"])


def test_a_server_that_reports_requests_through_the_hook_repeats_nothing() -> None:
    """uWSGI does; its own exceptions, of clients that have left, have no traceback."""
    done = run("""
        import types
        from pantheon_obs import instrument
        @instrument
        def app(environ, start_response):
            raise ValueError
        def serve():
            list(app({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None))
        def load():
            try:
                raise ValueError
            except ValueError:
                logging.exception("failed")
                raise
        def call(function):
            try:
                function()
            except ValueError:
                sys.excepthook(*sys.exc_info())
        call(serve)
        sys.modules["uwsgi"] = types.ModuleType("uwsgi")
        call(serve)
        call(load)
        logging.getLogger("pantheon_obs.request").disabled = True
        call(serve)
        sys.excepthook(OSError, OSError("write error"), None)
    """)

    uncaught, finished = "uncaught_exception", "request_finished"
    expected = [finished, uncaught, finished, "failed", uncaught, uncaught]
    assert ["observability_configured", *expected] == done.events
