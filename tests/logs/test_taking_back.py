"""A configuration of logging in start-up code takes nothing away for good."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.logs.running import Finished, run

if TYPE_CHECKING:
    from pathlib import Path

APP = """
import asyncio, logging.config
from pantheon_obs import instrument
log = logging.getLogger("bakery")
logging.getLogger("quiet").disabled = True

def configure():
    {configure}

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        configure()
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    if {lazy}:
        configure()
    log.warning("flour is low at %s", "mysql://baker:" + "yeast-and-salt" + "@store/flour")
    logging.getLogger("quiet").error("never")
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body"}})

app = instrument(app, log_format="json", log_level="INFO")

async def lifespan():
    messages = [{{"type": "lifespan.startup"}}, {{"type": "lifespan.shutdown"}}]
    async def receive():
        return messages.pop(0)
    async def send(message):
        if message["type"] == "lifespan.startup.complete":
            await get()
    await app({{"type": "lifespan"}}, receive, send)

async def get():
    async def send(message):
        pass
    scope = {{"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}}
    await app(scope, None, send)
"""
FILE = """
[loggers]
keys=root
[handlers]
keys=screen
[formatters]
keys=
[logger_root]
level=WARN
handlers=screen
[handler_screen]
class=StreamHandler
args=(sys.stderr,)
"""
CONFIGURATIONS = {
    "dictConfig": """logging.config.dictConfig({
        "version": 1,
        "handlers": {"screen": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["screen"], "level": "WARNING"},
    })""",
    "fileConfig": f"import io; logging.config.fileConfig(io.StringIO({FILE!r}))",
    "basicConfig": "logging.basicConfig(format='RAW %(message)s', level='ERROR', force=True)",
    "its own hands": "logging.getLogger().handlers[:] = [logging.StreamHandler()]",
}


def program(configure: str, run_app: str, *, lazy: bool = False) -> Finished:
    """Run an application that configures logging when it starts, or in a request."""
    return run(APP.format(configure=configure, lazy=lazy) + run_app)


@pytest.mark.parametrize("way", CONFIGURATIONS)
def test_logging_is_taken_back_when_start_up_is_over(way: str) -> None:
    """One WARNING says who had taken it away; later lines are as ever, of all loggers."""
    done = program(CONFIGURATIONS[way], "asyncio.run(lifespan())")

    assert [
        "observability_configured",
        "logging_taken_over",
        "flour is low at mysql://[redacted]@store/flour",
        "request_finished",
    ] == done.events
    taken = done.lines[1]
    assert ("warning", "pantheon_obs.logs") == (taken["level"], taken["logger"])
    assert (way != "its own hands") == (taken.get("by", "").endswith(" configure"))
    assert "<string>" in taken.get("by", "<string>")


def test_lines_of_start_up_are_masked_from_the_configuration_on() -> None:
    """Migrations log as soon as they have configured logging: it is taken back before that."""
    done = program(
        CONFIGURATIONS["fileConfig"]
        + "\n    logging.getLogger('alembic').warning('at mysql://ada:hunter2@store/flour')",
        "asyncio.run(lifespan())",
    )

    assert [
        *["observability_configured", "logging_taken_over", "at mysql://[redacted]@store/flour"],
        *["flour is low at mysql://[redacted]@store/flour", "request_finished"],
    ] == done.events


def test_logging_is_taken_back_at_the_first_request() -> None:
    """Not every server tells an application that it starts; later requests change nothing."""
    done = program(
        CONFIGURATIONS["dictConfig"],
        "configure()\nasyncio.run(get())\nlogging.getLogger().setLevel(5)\n"
        "logging.getLogger('tests').log(5, 'a level of the application')\nasyncio.run(get())",
    )

    assert [
        "observability_configured",
        "logging_taken_over",
        *["flour is low at mysql://[redacted]@store/flour", "request_finished"],
        "a level of the application",
        *["flour is low at mysql://[redacted]@store/flour", "request_finished"],
    ] == [line["event"] for line in done.lines if line["logger"] != "asyncio"]


def test_logging_is_taken_back_each_time() -> None:
    """A second configuration is reported like the first one."""
    done = run("""
        import logging.config
        from pantheon_obs.sinks.logs import configure
        def by_dict():
            logging.config.dictConfig({"version": 1})
        configure_logging(log_format="json")
        for _ in range(2):
            log = logging.getLogger("shop")
            by_dict()
            log.error("disabled")
            configure.take_back()
            configure.take_back()
            log.error("enabled")
    """)

    assert ["logging_taken_over", "enabled"] * 2 == done.events
    assert [True, True] == [line["by"].endswith(" by_dict") for line in done.lines if "by" in line]


def test_a_configuration_that_leaves_our_handler_is_not_told() -> None:
    """Servers configure their own loggers; that takes nothing away."""
    done = run("""
        import logging.config
        from pantheon_obs import logging_config
        from pantheon_obs.sinks.logs import configure
        configure_logging(log_format="json")
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False,
                                   "loggers": {"uvicorn": {"level": "INFO"}}})
        configure.take_back()
        logging.config.dictConfig(logging_config(log_format="json"))
        configure.take_back()
        logging.getLogger("shop").error("end")
    """)

    assert ["end"] == done.events


def test_files_of_the_application_s_configuration_stay(tmp_path: Path) -> None:
    """They get the records, with the trace id."""
    log = tmp_path / "app.log"
    configure = f"""logging.config.dictConfig({{
        "version": 1,
        "formatters": {{"short": {{"format": "%(trace_id)s %(message)s"}}}},
        "handlers": {{"file": {{"class": "logging.FileHandler", "filename": {str(log)!r},
                             "formatter": "short", "level": "WARNING"}}}},
        "root": {{"handlers": ["file"]}},
    }})"""
    done = program(configure, "asyncio.run(lifespan())")

    *_, flour, finished = done.lines
    assert flour["trace_id"] == finished["trace_id"]
    assert [
        "- logging_taken_over",
        f"{flour['trace_id']} flour is low at mysql://baker:yeast-and-salt@store/flour",
    ] == log.read_text().splitlines()


def test_a_first_request_that_configures_logging_itself_keeps_it() -> None:
    """From the first request on, the application's configuration is its own."""
    done = program(
        "logging.basicConfig(format='RAW %(message)s', stream=sys.stdout, force=True)",
        "asyncio.run(get())",
        lazy=True,
    )

    configured, line = done.stdout.decode().splitlines()[:2]
    assert "observability_configured" == json.loads(configured)["event"]
    assert line.startswith("RAW flour is low")
