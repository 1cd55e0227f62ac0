"""Settings: the sources of the values, and the treatment of bad values."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import logging
import pickle
import time
from typing import Any

import pytest

from pantheon_obs import (
    ConfigError,
    ObsError,
    Settings,
    configure_logging,
    logging_config,
)
from pantheon_obs.core.settings import resolve
from pantheon_obs.testing import capture_events
from tests.logs.running import run

MIB = 1024 * 1024

# Field, variable, its text, the value that is read from it.
VARIABLES = [
    ("service", "PANTHEON_OBS_SERVICE", " shop ", "shop"),
    ("service", "OTEL_SERVICE_NAME", "shop", "shop"),
    ("environment", "SENTRY_ENVIRONMENT", "test", "test"),
    ("release", "SENTRY_RELEASE", "1.2", "1.2"),
    ("log_level", "PANTHEON_OBS_LOG_LEVEL", "debug", "DEBUG"),
    ("log_level", "PANTHEON_OBS_LOG_LEVEL", "30", "WARNING"),
    ("log_level", "PANTHEON_OBS_LOG_LEVEL", "warn", "WARNING"),
    ("log_level", "PANTHEON_OBS_LOG_LEVEL", "Fatal", "CRITICAL"),
    ("log_level", "PANTHEON_OBS_LOG_LEVEL", "trace", "TRACE"),
    ("log_level", "PANTHEON_OBS_LOG_LEVEL", "5", "TRACE"),
    ("log_level", "PANTHEON_OBS_LOG_LEVEL", "25", "25"),
    ("log_format", "PANTHEON_OBS_LOG_FORMAT", "TEXT", "text"),
    ("log_schema", "PANTHEON_OBS_LOG_SCHEMA", "Pantheon", "pantheon"),
    ("log_stream", "PANTHEON_OBS_LOG_STREAM", "STDERR", "stderr"),
    ("inbound_headers", "PANTHEON_OBS_INBOUND_HEADERS", "X-A, X-B", ("X-A", "X-B")),
    ("response_headers", "PANTHEON_OBS_RESPONSE_HEADERS", "X-A,", ("X-A",)),
    ("trust_inbound", "PANTHEON_OBS_TRUST_INBOUND", "no", False),
    ("trust_inbound", "PANTHEON_OBS_TRUST_INBOUND", "0", False),
    ("trust_inbound", "PANTHEON_OBS_TRUST_INBOUND", "On", True),
    ("sentry_dsn", "SENTRY_DSN", "https://k@h/1", "https://k@h/1"),
    ("sentry_traces_sample_rate", "SENTRY_TRACES_SAMPLE_RATE", "1", 1.0),
    ("sentry_traces_sample_rate", "SENTRY_TRACES_SAMPLE_RATE", "0.25", 0.25),
    ("sentry_send_default_pii", "SENTRY_SEND_DEFAULT_PII", "true", True),
    ("health_prefix", "PANTHEON_OBS_HEALTH_PREFIX", "/healthz/", "/healthz"),
    ("metrics_path", "PANTHEON_OBS_METRICS_PATH", "/metrics", "/metrics"),
    ("metrics_port", "PANTHEON_OBS_METRICS_PORT", "9464", 9464),
    ("quiet_paths", "PANTHEON_OBS_QUIET_PATHS", "/a, /b", ("/a", "/b")),
    ("redact_keys", "PANTHEON_OBS_REDACT_KEYS", "ssn,iban", ("ssn", "iban")),
    ("log_delivery", "PANTHEON_OBS_LOG_DELIVERY", "queue", "queue"),
    ("log_queue_bytes", "PANTHEON_OBS_LOG_QUEUE_BYTES", "4096", 4096),
    ("max_line_bytes", "PANTHEON_OBS_MAX_LINE_BYTES", "1_000_000", 1_000_000),
    ("llm_attribution", "PANTHEON_OBS_LLM_ATTRIBUTION", "org, team", ("org", "team")),
    ("bind_user_id", "PANTHEON_OBS_BIND_USER_ID", "yes", True),
    ("llm", "PANTHEON_OBS_LLM", "on", True),
    ("disabled", "PANTHEON_OBS_DISABLED", "1", True),
]

DEFAULTS = {
    "service": None,
    "environment": None,
    "release": None,
    "log_level": "INFO",
    "log_format": "auto",
    "log_schema": "pantheon",
    "log_stream": "auto",
    "inbound_headers": ("X-Trace-ID", "X-Request-ID", "traceparent"),
    "response_headers": ("X-Trace-ID",),
    "trust_inbound": True,
    "sentry_dsn": None,
    "sentry_traces_sample_rate": 0.1,
    "sentry_send_default_pii": False,
    "health_prefix": "/health",
    "metrics_path": None,
    "metrics_port": None,
    "quiet_paths": (),
    "redact_keys": (),
    "log_delivery": "direct",
    "log_queue_bytes": 16 * MIB,
    "max_line_bytes": MIB,
    "llm_attribution": ("user_id", "tenant"),
    "bind_user_id": False,
    "llm": False,
    "disabled": False,
    "id_generator": None,
}


def of(settings: Settings) -> dict[str, Any]:
    """Return the value of every option."""
    return {name: getattr(settings, name) for name in DEFAULTS}


def test_the_defaults_are_those_of_the_design() -> None:
    """Without arguments and variables each option has its default."""
    assert DEFAULTS == of(Settings()) == of(Settings.from_env({}))


@pytest.mark.parametrize(("field", "variable", "written", "expected"), VARIABLES)
def test_a_variable_sets_its_field_and_no_other(
    field: str, variable: str, written: str, expected: object
) -> None:
    """The text of a variable becomes the value of its field."""
    settings = Settings.from_env({variable: written})

    assert {**DEFAULTS, field: expected} == of(settings)
    assert () == settings.problems


@pytest.mark.parametrize(("field", "variable", "written", "_expected"), VARIABLES)
def test_a_blank_variable_is_none(
    field: str, variable: str, written: str, _expected: object
) -> None:
    """Deployments leave variables empty; such a variable counts as not set."""
    assert DEFAULTS == of(Settings.from_env({variable: "  "}))


def test_every_field_but_the_generator_has_a_variable() -> None:
    """Each option that code can set can be set by a variable too."""
    assert set(DEFAULTS) - {"id_generator"} == {field for field, *_ in VARIABLES}


def test_an_argument_wins_over_the_environment_and_that_over_the_default() -> None:
    """The order of precedence applies to the real environment too."""
    environ = {"PANTHEON_OBS_LOG_LEVEL": "ERROR", "PANTHEON_OBS_SERVICE": "env"}

    settings = Settings.from_env(environ, log_level="DEBUG")

    assert ("DEBUG", "env", "auto") == (
        settings.log_level,
        settings.service,
        settings.log_format,
    )


def test_the_first_of_two_variables_wins() -> None:
    """Our variable wins over OpenTelemetry's, unless ours is blank."""
    both = {"PANTHEON_OBS_SERVICE": "ours", "OTEL_SERVICE_NAME": "theirs"}

    assert "ours" == Settings.from_env(both).service
    assert "theirs" == Settings.from_env({**both, "PANTHEON_OBS_SERVICE": " "}).service


class Hostile:
    """Raises at every touch."""

    def __repr__(self) -> str:
        """Raise."""
        raise RuntimeError

    __str__ = __repr__

    def __iter__(self) -> Any:
        """Raise."""
        raise RuntimeError

    def __float__(self) -> float:
        """Raise."""
        raise RuntimeError

    def __int__(self) -> int:
        """Raise."""
        raise RuntimeError


NONSENSE = [
    ("service", 7, "a string or None"),
    ("environment", b"x", "a string or None"),
    ("release", 1.2, "a string or None"),
    ("log_level", "LOUD", "DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    ("log_level", -1, "DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    ("log_level", True, "DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    ("log_level", None, "DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    ("log_format", "yaml", "json, text, console, auto"),
    ("log_format", 7, "json, text, console, auto"),
    ("log_schema", "ecs", "not accepted: use pantheon"),
    ("inbound_headers", "X A", "header names"),
    ("inbound_headers", (), "header names"),
    ("inbound_headers", ["X-A", 7], "strings"),
    ("response_headers", "X-A: b", "header names"),
    ("response_headers", "X-É", "header names"),
    ("response_headers", {"X-A": 1}, "strings"),
    ("trust_inbound", "maybe", "a boolean"),
    ("trust_inbound", 1, "a boolean"),
    ("sentry_dsn", 7, "a string or None"),
    ("sentry_traces_sample_rate", 1.1, "0.0 to 1.0"),
    ("sentry_traces_sample_rate", float("nan"), "0.0 to 1.0"),
    ("sentry_traces_sample_rate", 10**400, "0.0 to 1.0"),
    ("sentry_traces_sample_rate", True, "0.0 to 1.0"),
    ("sentry_traces_sample_rate", "half", "0.0 to 1.0"),
    ("sentry_send_default_pii", None, "a boolean"),
    ("health_prefix", "health", "starts with a slash"),
    ("health_prefix", None, "starts with a slash"),
    ("metrics_path", "metrics", "starts with a slash"),
    ("metrics_path", "/", "'/' is not accepted"),
    ("metrics_port", 0, "1 to 65535"),
    ("metrics_port", 9464.0, "1 to 65535"),
    ("metrics_port", "http", "1 to 65535"),
    ("quiet_paths", "/a,b", "start with a slash"),
    ("redact_keys", 7, "strings"),
    ("redact_keys", b"ssn", "strings"),
    ("log_stream", "file", "auto, stdout, stderr"),
    ("log_delivery", "carrier pigeon", "direct, queue"),
    ("log_queue_bytes", 10, "1024 or more"),
    ("log_queue_bytes", "²", "1024 or more"),
    ("max_line_bytes", "1MB", "1024 or more"),
    ("max_line_bytes", 1e6, "1024 or more"),
    ("max_line_bytes", -1, "1024 or more"),
    ("bind_user_id", "", "a boolean"),
    ("id_generator", "uuid4", "a function without arguments"),
    ("id_generator", len, "a function without arguments"),
    ("id_generator", asyncio.sleep, "a function without arguments"),
]


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    NONSENSE,
    ids=[f"{n}-{row[0]}" for n, row in enumerate(NONSENSE)],
)
def test_a_bad_argument_raises_naming_field_value_and_accepted_values(
    field: str, value: Any, accepted: str
) -> None:
    """Each entry point refuses a bad argument before it changes anything."""
    for call in (
        lambda: Settings(**{field: value}),
        lambda: Settings.from_env({}, **{field: value}),
        lambda: Settings().with_overrides({field: value}),
        lambda: configure_logging(**{field: value}),
        lambda: logging_config(**{field: value}),
    ):
        with pytest.raises(ConfigError) as caught:
            call()
        message = str(caught.value)
        assert message.startswith(f"{field}=")
        assert accepted in message
        assert isinstance(caught.value, (ObsError, ValueError))
        if field != "sentry_dsn":
            assert repr(value)[:80] in message


@pytest.mark.parametrize("field", [name for name in DEFAULTS if name != "id_generator"])
def test_a_hostile_value_is_refused_like_any_other(field: str) -> None:
    """A value that raises whenever it is used is refused with our error."""
    with pytest.raises(ConfigError, match=rf"{field}=(<Hostile>|\*\*\*) is not accepted: use "):
        Settings(**{field: Hostile()})


UNKNOWN = [
    ("colour", "the settings are service, environment, release"),
    ("problems", "the settings are service, environment, release"),
    ("environ", "did you mean 'environment'?"),
    ("static_fields", "the settings are service, environment, release"),
    ("log_formt", "did you mean 'log_format'?"),
    ("logLevel", "did you mean 'log_level'?"),
    ("SERVICE", "did you mean 'service'?"),
    ("dsn", "did you mean 'sentry_dsn'?"),
]


@pytest.mark.parametrize(("name", "instead"), UNKNOWN)
def test_an_unknown_setting_is_refused_with_the_nearest_or_all_settings(
    name: str, instead: str
) -> None:
    """A misspelt name is an error."""
    for call in (
        lambda: Settings.from_env({}, **{name: 1}),
        lambda: Settings().with_overrides({name: 1}),
        lambda: configure_logging(**{name: 1}),
        lambda: logging_config(**{name: 1}),
    ):
        with pytest.raises(ConfigError, match=f"^'{name}' is not a setting: {instead}"):
            call()


@pytest.mark.parametrize("nonsense", [{"log_level": "INFO"}, "json", 7, Hostile(), Settings])
def test_settings_that_are_none_are_refused(nonsense: Any) -> None:
    """A dict, a string and the class itself are not accepted as `Settings`."""
    with pytest.raises(ConfigError, match=r"^settings=.* use a pantheon_obs\.Settings or None$"):
        configure_logging(nonsense)


BAD_VARIABLES = [
    ("PANTHEON_OBS_LOG_LEVEL", "LOUD", "'INFO'"),
    ("PANTHEON_OBS_LOG_FORMAT", "yaml", "'auto'"),
    ("PANTHEON_OBS_INBOUND_HEADERS", "X A", "('X-Trace-ID', 'X-Request-ID', 'traceparent')"),
    ("PANTHEON_OBS_TRUST_INBOUND", "maybe", "True"),
    ("SENTRY_TRACES_SAMPLE_RATE", "lots", "0.1"),
    ("PANTHEON_OBS_HEALTH_PREFIX", "health", "'/health'"),
    ("PANTHEON_OBS_METRICS_PATH", "/", "None"),
    ("PANTHEON_OBS_LOG_DELIVERY", "pigeon", "'direct'"),
    ("PANTHEON_OBS_MAX_LINE_BYTES", "1MB", "1048576"),
]


@pytest.mark.parametrize(("variable", "value", "default"), BAD_VARIABLES)
def test_a_bad_variable_is_one_warning_and_the_default(
    variable: str, value: str, default: str
) -> None:
    """The application starts; the line has the variable, its value, the accepted and the used."""
    done = run(
        "configure_logging(); configure_logging(); logging.info('started')", **{variable: value}
    )

    refused, started = done.lines
    assert ("setting_refused", "warning", "pantheon_obs.settings") == tuple(
        refused[key] for key in ("event", "level", "logger")
    )
    assert refused["problem"].startswith(f"{variable}={value!r} is not accepted: use ")
    assert refused["problem"].endswith(f"; the default {default} is used")
    assert "started" == started["event"]


def test_several_bad_variables_are_a_line_each() -> None:
    """Each bad variable has its own line."""
    done = run("configure_logging()", **{name: value for name, value, _ in BAD_VARIABLES})

    assert ["setting_refused"] * len(BAD_VARIABLES) == done.events


UNKNOWN_VARIABLES = [
    ("PANTHEON_OBS_LOGLEVEL", ": did you mean PANTHEON_OBS_LOG_LEVEL?"),
    ("PANTHEON_OBS_LOG_FROMAT", ": did you mean PANTHEON_OBS_LOG_FORMAT?"),
    ("PANTHEON_OBS_TRUST", ": did you mean PANTHEON_OBS_TRUST_INBOUND?"),
    ("pantheon_obs_service", ": did you mean PANTHEON_OBS_SERVICE?"),
    ("PANTHEON_OBS_SENTRY_DSN", ": did you mean SENTRY_DSN?"),
    ("PANTHEON_OBS_ENVIRONMENT", ": did you mean SENTRY_ENVIRONMENT?"),
    ("PANTHEON_OBS_OTEL_SERVICE_NAM", ": did you mean OTEL_SERVICE_NAME?"),
    ("PANTHEON_OBS_REQUEST_ID", ": request_id is set by an argument only"),
    ("PANTHEON_OBS_XYZZY", ""),
]


@pytest.mark.parametrize(("variable", "instead"), UNKNOWN_VARIABLES)
def test_an_unknown_variable_is_one_warning_with_the_nearest_name(
    variable: str, instead: str
) -> None:
    """The line does not show the value, which may be a secret."""
    done = run(
        "configure_logging(); configure_logging(); logging.info('started')",
        **{variable: "hunter2"},
    )

    unknown, started = done.lines
    assert ("setting_refused", "warning", "pantheon_obs.settings") == tuple(
        unknown[key] for key in ("event", "level", "logger")
    )
    assert f"{variable} is not a setting{instead}" == unknown["problem"]
    assert "started" == started["event"]


def test_variables_that_are_blank_or_of_others_are_not_reported() -> None:
    """A deployment may leave a variable empty, and other programs have theirs."""
    environ = {"PANTHEON_OBS_LOGLEVEL": " ", "PANTHEON_LOG_LEVEL": "DEBUG", "LOG_LEVEL": "DEBUG"}

    assert () == Settings.from_env(environ).problems


def test_an_argument_makes_a_bad_variable_irrelevant() -> None:
    """A variable is not read if there is an argument."""
    settings = Settings.from_env({"PANTHEON_OBS_LOG_LEVEL": "LOUD"}, log_level="ERROR")

    assert () == settings.problems


def test_credentials_do_not_get_into_messages() -> None:
    """The credentials of a URL are masked; a DSN is not shown at all."""
    environ = {"PANTHEON_OBS_HEALTH_PREFIX": "redis://user:hunter2@cache/0"}

    [problem] = Settings.from_env(environ).problems

    assert "redis://***@cache/0" in problem
    with pytest.raises(ConfigError, match=r"^sentry_dsn=\*\*\* is not accepted"):
        Settings(sentry_dsn=["https://hunter2@sentry.test/1"])  # type: ignore[arg-type]


def test_a_long_value_is_shown_in_part() -> None:
    """The message shows a part of a long value, so that it stays readable."""
    [problem] = Settings.from_env({"PANTHEON_OBS_LOG_LEVEL": "x" * 10_000}).problems

    assert len(problem) < 300


def test_the_fields_that_every_line_has_are_those_that_are_set() -> None:
    """The fields are `service`, `environment` and `release`, in this order."""
    settings = Settings(release="1.2", service="shop")

    assert [("service", "shop"), ("release", "1.2")] == list(settings.static_fields.items())


@pytest.mark.parametrize(
    ("options", "quiet"),
    [
        ({}, {"/health/live", "/health/live/", "/health/ready", "/health/ready/"}),
        (
            {"quiet_paths": "/ping", "health_prefix": "/", "metrics_path": "/m"},
            {"/ping", "/live", "/live/", "/ready", "/ready/", "/m", "/m/"},
        ),
        (
            {"health_prefix": "/", "metrics_path": "/metrics"},
            {"/live", "/live/", "/ready", "/ready/", "/metrics", "/metrics/"},
        ),
    ],
)
def test_quiet_paths_are_those_given_and_the_probes(
    options: dict[str, Any], quiet: set[str]
) -> None:
    """The probes and the page of the metrics are quiet, whichever other paths are."""
    assert quiet == Settings(**options).quiet


def test_settings_are_a_value() -> None:
    """Settings are frozen, comparable and picklable: uvicorn pickles its `log_config`."""
    settings = Settings(service="shop")

    assert settings == pickle.loads(pickle.dumps(settings))  # noqa: S301 - our own
    assert settings == copy.deepcopy(settings) == Settings(service="shop")
    assert settings != Settings()
    assert settings.with_overrides({}) is settings
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.service = "x"  # type: ignore[misc]
    assert (
        logging_config(settings)["root"]
        == pickle.loads(  # noqa: S301 - our own
            pickle.dumps(logging_config(settings))
        )["root"]
    )


def test_resolving_takes_settings_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments of an entry point win; without them the environment counts."""
    monkeypatch.setenv("PANTHEON_OBS_SERVICE", "env")
    given = Settings(service="given")

    assert ["env", "x", "given", "x"] == [
        resolve(settings, overrides).service
        for settings, overrides in (
            (None, {}),
            (None, {"service": "x"}),
            (given, {}),
            (given, {"service": "x"}),
        )
    ]


def test_any_callable_may_make_ids() -> None:
    """A generator can be set as an argument only."""
    assert time.ctime is Settings(id_generator=time.ctime).id_generator


def test_problems_are_logged_once_each() -> None:
    """Configuring logging again does not log them again."""
    settings = Settings.from_env({"PANTHEON_OBS_LOG_LEVEL": "ONCE"})

    with capture_events() as events:
        configure_logging(settings)
        configure_logging(settings)
        assert logging.INFO == logging.getLogger().level

    assert 1 == sum(event["event"] == "setting_refused" for event in events)
