"""Examine log lines for the library's own warnings, and for fields that its events lack."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.cli.doctor.finding import Finding, fault
from pantheon_obs.cli.doctor.servers import LOG_CONFIG
from pantheon_obs.cli.doctor.settings import problem
from pantheon_obs.cli.reading.lines import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pantheon_obs.cli.reading.files import Source
    from pantheon_obs.cli.reading.lines import Line
    from pantheon_obs.cli.reading.wrappers import Joined

# The library's warnings, and the line that mends each; names in braces are the line's fields.
_REMEDIES = {
    "instrument_ignored": "instrument(app, {options}=...)  # once, with all its options",
    "wrapper_unused": "app = instrument(app)",
    "logging_taken_over": "remove the logging configuration in {by}",
    "middleware_without_app": 'INSTALLED_APPS += ["pantheon_obs.adapters.django"]',
    "metrics_unavailable": "pip install 'pantheon-obs[prometheus]'",
    "metrics_labels_full": "instrument_llm(...)  # with fewer model aliases than 200",
    "sentry_disabled": "export SENTRY_DSN=https://KEY@HOST/PROJECT-NUMBER",
    "trace_outlived": "with untraced(): ...  # around the start of {task}",
    "log_lines_dropped": "export PANTHEON_OBS_LOG_QUEUE_BYTES=67108864",
    "llm_budget_store_lost": "redis-cli ping  # the store of the budget did not answer",
}
# Beginnings of the problems of `metrics_unavailable` that no package mends.
_OF_METRICS = {
    "PROMETHEUS_MULTIPROC_DIR=": "export PROMETHEUS_MULTIPROC_DIR=/tmp/metrics",
    "metrics_port=": "export PANTHEON_OBS_METRICS_PORT=9464  # another one, which is free",
}
_LOGGER_CLASS = 'GUNICORN_CMD_ARGS="--logger-class pantheon_obs.adapters.gunicorn.JSONLogger"'
# Beginnings of the servers' lines where our handler is not in their logging.
_RAW = (
    (
        re.compile(rb"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL): {2,}"),
        f"UVICORN_LOG_CONFIG={LOG_CONFIG}",
    ),
    (re.compile(rb"\[[\d-]+ [\d:]+ [+-]\d{4}\] \[\d+\] \[[A-Z]+\] "), _LOGGER_CLASS),
    (re.compile(rb"\[[A-Z]+\] "), f"GRANIAN_LOG_CONFIG={LOG_CONFIG}"),
)
_TEXT = re.compile(rb"\d[\d:., -]+ \[?[A-Za-z]+ *\]?.{0,80}?(?:request|websocket|task)_finished\b")
_STREAM = 'stream_options={{"include_usage": True}}  # on the calls of {}'
_USAGE = '@llm_call(model="{}", usage=...)'
_PRICE = 'prices={{"{}": (INPUT, OUTPUT)}}  # US dollars per million tokens'


class ExaminedLog(Reader):
    """Looks at each line that is judged, in memory that does not grow with their number."""

    def __init__(self, sources: Sequence[Source]) -> None:
        super().__init__(sources)
        self._units = 0
        self._found: dict[tuple[str, str], Finding] = {}
        self._missing: Counter[tuple[str, bool]] = Counter()  # alias, whether it streams
        self._unpriced: Counter[str] = Counter()
        self._last = b""

    def judge(self, joined: Joined, service: str) -> Line | None:
        """Return the line if it is ours, and look at it, or at a foreign line."""
        line = super().judge(joined, service)
        if line is None:
            self._take_foreign(joined.text)
        else:
            self._take_ours(line.fields, line.raw)
        return line

    def _take_ours(self, line: dict[str, Any], raw: bytes) -> None:
        event, logger = line["event"], line["logger"]
        if event.endswith("_finished") and logger.startswith("pantheon_obs."):
            self._units += 1
            if raw == self._last:
                why = "a line stands twice in the log: two handlers print it"
                self._add(fault("doubled lines", why, "remove the handler beside the library's"))
            self._last = raw
        elif logger == "pantheon_obs.llm" and event.startswith("llm."):
            self._take_call(line)
        elif event == "setting_refused" and isinstance(line.get("problem"), str):
            self._add(problem(line["problem"]))
        elif event in _REMEDIES and logger.partition(".")[0] == "pantheon_obs":
            why = next((line[key] for key in ("problem", "reason", "hint") if key in line), event)
            known = (fix for start, fix in _OF_METRICS.items() if str(why).startswith(start))
            fix = next(known, _filled(_REMEDIES[event], line))
            self._add(fault(event.replace("_", " "), str(why), fix))

    def _take_foreign(self, raw: bytes) -> None:
        for pattern, fix in _RAW:
            if pattern.match(raw):
                why = "a server writes lines of its own beside ours"
                self._add(fault("server log", why, f"export {fix}"))
                return
        if _TEXT.match(raw):
            why = "the lines are text: the commands read JSON lines only"
            self._add(fault("json lines", why, "export PANTHEON_OBS_LOG_FORMAT=json"))

    def checks(self) -> Iterator[Finding]:
        """List the findings."""
        yield from self._found.values()
        for (alias, streams), count in self._missing.items():
            what = "streams" if streams else "calls"
            fix = (_STREAM if streams else _USAGE).format(alias)
            yield fault("usage", f"{count} {what} of {alias} have no usage", fix)
        for alias, count in self._unpriced.items():
            why = f"{count} calls of {alias} have tokens and no price"
            yield fault("prices", why, _PRICE.format(alias))
        if not (self._found or self._missing or self._unpriced):
            yield Finding("log", "on" if self._units else "unknown", f"{self._units} units seen")

    def _take_call(self, line: dict[str, Any]) -> None:
        if line.get("nested") or line.get("outcome") != "ok":
            return
        alias = str(line.get("model_alias") or line.get("model") or "?")
        if line.get("usage_status") == "missing":
            self._missing[alias, line.get("stream") is True] += 1
        elif line.get("cost_usd") is None and line.get("input_tokens") is not None:
            self._unpriced[alias] += 1

    def _add(self, check: Finding) -> None:
        self._found.setdefault((check.name, check.fix or ""), check)


def _filled(remedy: str, line: dict[str, Any]) -> str:
    """Put fields of a line into its remedy."""

    def field(found: re.Match[str]) -> str:
        value = line.get(found[1], "...")
        return value if isinstance(value, str) else ", ".join(map(str, value))

    return re.sub(r"\{(\w+)\}", field, remedy)
