"""All options in one frozen value; the only module that reads them from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

from pantheon_obs.core import parsing as parse
from pantheon_obs.core import profiles
from pantheon_obs.core.errors import SECRET, ConfigError, refusal, refuse, shown
from pantheon_obs.core.names import unknown_argument, unknown_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MIB = 1024 * 1024


def _option(default: object, read: Callable[[Any], object], *env: str, secret: bool = False) -> Any:  # noqa: ANN401 - stands for a field of any type
    """Declare an option: its default, the function that reads a value, and its variables."""
    return field(default=default, metadata={"read": read, "env": env, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Settings:
    """The options of pantheon-obs.

    An argument wins over a framework's settings file, which wins over the environment, which wins
    over the default.

    Attributes:
        service: Name of the service, on every line.
        environment: Deployment environment, on every log line and error report.
        release: Version of the service, on every log line and error report.
        log_level: Least level that is logged, a standard name or number.
        log_format: `json`, `text`, `console`, or `auto`: console on a terminal, else json.
        log_schema: Names of the keys of a JSON line: `pantheon` is the only one so far.
        log_stream: `stdout`, `stderr`, or `auto`: stderr in commands that do not serve.
        inbound_headers: Headers that may bring an id; the first valid one wins.
        response_headers: Headers that carry the id on every response.
        trust_inbound: Whether an inbound id is used at all.
        sentry_dsn: The DSN that error reports are sent to; None turns them off.
        sentry_traces_sample_rate: Share of requests that the error tracker traces, 0.0 to 1.0.
        sentry_send_default_pii: Whether error reports may contain personal data.
        health_prefix: Path under which health endpoints are mounted.
        metrics_path: Path of the metrics for Prometheus; None mounts no page.
        metrics_port: Port of its own that answers `/metrics`; None opens none.
        quiet_paths: Further paths whose `request_finished` is logged at DEBUG only; the paths of
            the probes and of the metrics always are.
        redact_keys: Keys to redact besides the built-in ones.
        log_delivery: `direct` waits for the reader of the log, `queue` never does.
        log_queue_bytes: Bytes that may wait in the queue, 1 kB or more.
        max_line_bytes: Bytes of the longest line, 1 kB or more; longer values are cut and say so.
        llm_attribution: Bound fields by which the cost of LLM calls is attributed.
        baggage_fields: Names of the `baggage` members that become bound fields and go out again.
        trace_linger_s: Seconds for which tasks that a request has started keep its id after it.
        bind_user_id: Whether the log lines of a request have the id of its authenticated user.
        request_id: Whether every log line has `request_id` beside `trace_id`, with the same value.
        llm: Whether the calls of all known LLM SDKs that are imported are log events.
        measure_time: Whether requests and tasks report where their time went.
        debug_on_error: Whether lines below `log_level` are written if work ends at ERROR or slow.
        slow_ms: Milliseconds from which a request or task is slow; 0 means never.
        keep_rate: Share of the requests and tasks that end well whose lines are written, 0 to 1.
        slow_loop_ms: Milliseconds for which an event loop may be blocked unreported; 0: for ever.
        disabled: Whether the library does nothing: nothing traced, logged or reported.
        sentry_options: Options of `sentry_sdk.init`, which win over the library's defaults.
        metrics_registry: The registry of the metrics; None means `prometheus_client.REGISTRY`.
        id_generator: Makes a fresh id; None means the form of `str(uuid.uuid4())`.
        given: Names of the fields that the application has set itself, by an argument or in its
            framework's settings file; all but `disabled` for settings made in code.

    Raises:
        ConfigError: A value is not accepted; the message names the accepted values.

    Example:
        >>> from pantheon_obs import Settings
        >>> Settings(log_level="debug").log_level
        'DEBUG'
    """

    service: str | None = _option(None, parse.text, "PANTHEON_OBS_SERVICE", "OTEL_SERVICE_NAME")
    environment: str | None = _option(None, parse.text, "SENTRY_ENVIRONMENT")
    release: str | None = _option(None, parse.text, "SENTRY_RELEASE")
    log_level: str = _option("INFO", parse.level, "PANTHEON_OBS_LOG_LEVEL")
    log_format: Literal["json", "text", "console", "auto"] = _option(
        "auto", parse.one_of("json", "text", "console", "auto"), "PANTHEON_OBS_LOG_FORMAT"
    )
    log_schema: Literal["pantheon"] = _option(
        "pantheon", parse.one_of("pantheon"), "PANTHEON_OBS_LOG_SCHEMA"
    )
    log_stream: Literal["auto", "stdout", "stderr"] = _option(
        "auto", parse.one_of("auto", "stdout", "stderr"), "PANTHEON_OBS_LOG_STREAM"
    )
    inbound_headers: tuple[str, ...] = _option(
        ("X-Trace-ID", "X-Request-ID", "traceparent"),
        parse.headers,
        "PANTHEON_OBS_INBOUND_HEADERS",
    )
    response_headers: tuple[str, ...] = _option(
        ("X-Trace-ID",), parse.headers, "PANTHEON_OBS_RESPONSE_HEADERS"
    )
    trust_inbound: bool = _option(True, parse.boolean, "PANTHEON_OBS_TRUST_INBOUND")
    sentry_dsn: str | None = _option(None, parse.text, "SENTRY_DSN", secret=True)
    sentry_traces_sample_rate: float = _option(0.1, parse.rate, "SENTRY_TRACES_SAMPLE_RATE")
    sentry_send_default_pii: bool = _option(False, parse.boolean, "SENTRY_SEND_DEFAULT_PII")
    health_prefix: str = _option("/health", parse.prefix, "PANTHEON_OBS_HEALTH_PREFIX")
    metrics_path: str | None = _option(None, parse.path, "PANTHEON_OBS_METRICS_PATH")
    metrics_port: int | None = _option(None, parse.port, "PANTHEON_OBS_METRICS_PORT")
    quiet_paths: tuple[str, ...] = _option((), parse.paths, "PANTHEON_OBS_QUIET_PATHS")
    redact_keys: tuple[str, ...] = _option((), parse.names, "PANTHEON_OBS_REDACT_KEYS")
    log_delivery: Literal["direct", "queue"] = _option(
        "direct", parse.one_of("direct", "queue"), "PANTHEON_OBS_LOG_DELIVERY"
    )
    log_queue_bytes: int = _option(16 * MIB, parse.size, "PANTHEON_OBS_LOG_QUEUE_BYTES")
    max_line_bytes: int = _option(MIB, parse.size, "PANTHEON_OBS_MAX_LINE_BYTES")
    llm_attribution: tuple[str, ...] = _option(
        ("user_id", "tenant"), parse.names, "PANTHEON_OBS_LLM_ATTRIBUTION"
    )
    baggage_fields: tuple[str, ...] = _option((), parse.tokens, "PANTHEON_OBS_BAGGAGE_FIELDS")
    trace_linger_s: float = _option(600.0, parse.seconds, "PANTHEON_OBS_TRACE_LINGER_S")
    bind_user_id: bool = _option(False, parse.boolean, "PANTHEON_OBS_BIND_USER_ID")
    request_id: bool = _option(False, parse.boolean)
    llm: bool = _option(False, parse.boolean, "PANTHEON_OBS_LLM")
    measure_time: bool = _option(True, parse.boolean, "PANTHEON_OBS_MEASURE_TIME")
    debug_on_error: bool = _option(False, parse.boolean, "PANTHEON_OBS_DEBUG_ON_ERROR")
    slow_ms: float = _option(0.0, parse.milliseconds, "PANTHEON_OBS_SLOW_MS")
    keep_rate: float = _option(1.0, parse.rate, "PANTHEON_OBS_KEEP_RATE")
    slow_loop_ms: float = _option(250.0, parse.milliseconds, "PANTHEON_OBS_SLOW_LOOP_MS")
    disabled: bool = _option(False, parse.boolean, "PANTHEON_OBS_DISABLED")
    id_generator: Callable[[], str] | None = _option(None, parse.generator)
    metrics_registry: Any = _option(None, parse.registry)
    sentry_options: Any = _option(None, parse.options, secret=True)
    problems: tuple[str, ...] = ()
    """The faults of the environment, one sentence each; logged once logging is set up."""
    given: frozenset[str] = field(default_factory=lambda: frozenset(NAMES) - {_SWITCH})

    def __post_init__(self) -> None:
        for option in _OPTIONS:
            value = getattr(self, option.name)
            try:
                read = option.metadata["read"](value) if value is not option.default else value
            except Exception as error:  # noqa: BLE001 - a hostile value may raise anything
                secret = option.metadata["secret"]
                refuse(option.name, SECRET if secret else value, str(error))
            object.__setattr__(self, option.name, read)

    def __eq__(self, other: object) -> bool:  # by hand: generated code takes 1 ms of each start
        return type(other) is Settings and _values_of(self) == _values_of(other)

    def __hash__(self) -> int:
        return hash(_values_of(self))

    def __repr__(self) -> str:
        shown = (
            f"{option.name}={SECRET if option.metadata['secret'] else value!r}"
            for option, value in zip(_OPTIONS, _values_of(self), strict=True)
        )
        return f"Settings({', '.join(shown)})"

    @property
    def static_fields(self) -> dict[str, str]:
        """The fields that every log line has with the same value."""
        names = ("service", "environment", "release")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @property
    def quiet(self) -> frozenset[str]:
        """The quiet paths: those given, and the paths of the probes and of the metrics."""
        probes = [f"{self.health_prefix}/{name}" for name in ("live", "live/", "ready", "ready/")]
        metrics = [self.metrics_path, f"{self.metrics_path}/"] if self.metrics_path else []
        return frozenset([*self.quiet_paths, *probes, *metrics])

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, /, **overrides: object) -> Settings:
        """Read the environment and the framework's settings file; arguments win.

        A bad value in the environment never stops the application: the default is used, and
        `problems` says so.

        Args:
            environ: Read this alone, without a settings file; None means `os.environ`.
            overrides: Fields of `Settings`.

        Returns:
            The settings.

        Raises:
            ConfigError: An override is not a field, or its value is not accepted.
        """
        profile = profiles.current() if environ is None else profiles.NONE
        environ = os.environ if environ is None else environ
        given = {**profile.values, **overrides}
        _refuse_unknown(given)
        values: dict[str, Any] = {**profile.defaults, **given}
        variables_of = {option.name: option.metadata["env"] for option in _OPTIONS}
        problems = list(unknown_variables(environ, variables_of))
        for option in _OPTIONS:
            variables = variables_of[option.name]
            found = [(name, raw) for name in variables if (raw := environ.get(name, "").strip())]
            if option.name in given or not found:
                continue
            variable, raw = found[0]
            try:
                values[option.name] = option.metadata["read"](raw)
            except ValueError as error:
                refused = refusal(
                    variable, SECRET if option.metadata["secret"] else raw, str(error)
                )
                default = shown(values.get(option.name, option.default))
                problems.append(f"{refused}; the default {default} is used")
        return cls(**values, problems=tuple(problems), given=frozenset(given))

    def with_overrides(self, overrides: Mapping[str, object]) -> Settings:
        """Copy with some fields replaced; raises `ConfigError` as `Settings` does."""
        _refuse_unknown(overrides)
        if not overrides:
            return self
        changes: dict[str, Any] = {**overrides, "given": self.given | frozenset(overrides)}
        return replace(self, **changes)


_OPTIONS = tuple(option for option in fields(Settings) if option.metadata)
NAMES: tuple[str, ...] = tuple(option.name for option in _OPTIONS)
_SWITCH = "disabled"
_values_of = attrgetter(*NAMES)


def resolve(settings: Settings | None, overrides: Mapping[str, object]) -> Settings:
    """Combine the arguments of an entry point; without settings the environment is read."""
    if settings is None:
        return Settings.from_env(**overrides)
    if not isinstance(settings, Settings):
        refuse("settings", settings, "a pantheon_obs.Settings or None")
    resolved = settings.with_overrides(overrides)
    if _SWITCH not in resolved.given and Settings.from_env().disabled:
        return replace(resolved, disabled=True)  # it applies to settings made in code, too
    return resolved


def _refuse_unknown(names: Mapping[str, object]) -> None:
    for name in names:
        if name not in NAMES:
            raise ConfigError(unknown_argument(name, NAMES))
