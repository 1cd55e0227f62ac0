"""Figures and outcomes of units and calls in words, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.cli.reading.schema import number
from pantheon_obs.cli.terminal import encoded, printable, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 2000  # characters of a value that is shown
_MINUTE, _SECOND, _LONG = 60_000, 1000, 100  # milliseconds; a long time needs no fraction

# Every line has these fields, or the head of a story or a row shows them already.
_SHOWN = {
    *("timestamp", "level", "event", "logger", "trace_id", "request_id", "exception"),
    *("service", "environment", "release"),
}
_STATUS = {
    "request": ("status_code", "grpc_code"),
    "websocket": ("close_code",),
    "task": ("state",),
    "llm": (),
}


def duration(milliseconds: float | None) -> str:
    """Write a duration in the unit in which a person reads it; rounded, it may reach the next."""
    if milliseconds is None:
        return "-"
    if round(milliseconds, -1) >= _MINUTE:
        return f"{milliseconds / _MINUTE:,.1f} min"
    if round(milliseconds) >= _SECOND:
        return f"{milliseconds / _SECOND:.2f} s"
    return f"{milliseconds:.{0 if round(milliseconds, 1) >= _LONG else 1}f} ms"


def dollars(value: float | None) -> str:
    """Write a cost; a small one keeps its digits."""
    if value is None:
        return "-"
    if value >= 1:
        return f"${value:,.2f}"
    whole, _, cents = f"{value:.6f}".rstrip("0").partition(".")
    return f"${whole}.{cents:0<2}"


def tokens(read: float | None, written: float | None) -> str:
    """Write token counts of input and output; empty if neither is known."""
    if read is None and written is None:
        return ""
    known = ["?" if count is None else f"{count:,}" for count in (read, written)]
    return " → ".join(known) + " tokens"


def counted(number_of: int, what: str) -> str:
    """Write a number of things, whose plural has an s."""
    return f"{number_of:,} {what}{'' if number_of == 1 else 's'}"


def outcome(kind: str, fields: dict[str, Any]) -> str:
    """Say how a unit or call ended: a status, and the outcome where it is not `ok`."""
    ended = fields.get("outcome")
    status = next((fields[key] for key in _STATUS[kind] if key in fields), None)
    if status is not None and ended == "ok":
        ended = None
    parts = [status, ended, fields.get("error_type")]
    return shown(" ".join(str(part) for part in parts if part is not None))


def usage(kind: str, fields: dict[str, Any]) -> Iterator[str]:
    """Give the model, tokens, cost and first token of a call, or the sums of a unit's calls."""
    prefix = "" if kind == "llm" else "llm_"
    if kind == "llm":
        model = fields.get("model_alias") or fields.get("model")
        if model is not None:
            yield shown(model)
    elif (calls := number(fields, "llm_calls")) is not None:
        yield counted(int(calls), "LLM call")
    yield tokens(number(fields, f"{prefix}input_tokens"), number(fields, f"{prefix}output_tokens"))
    cost = number(fields, f"{prefix}cost_usd")
    if cost is not None:
        yield dollars(cost)
    first = number(fields, "ttft_ms")
    if first is not None:
        yield f"first token {duration(first)}"


def other_fields(fields: dict[str, Any]) -> Iterator[str]:
    """Give the fields of a line as `key=value`, without those that every line has."""
    for name, value in fields.items():
        if name not in _SHOWN:
            is_word = isinstance(value, str) and value != "" and not set(value) & set(' "=\n\t')
            text = value if is_word else encoded(value).decode()
            yield f"{printable(name)}={shown(text)}"


def shown(value: object) -> str:
    """Write a value as a person reads it: a long one is cut, and nothing moves the cursor."""
    return printable(cut_text(text_of(value)))


def cut_text(text: str) -> str:
    """Cut a long text, and say how much is left out."""
    more = len(text) - _LONGEST
    return text if more <= 0 else f"{text[:_LONGEST]}… ({more:,} more characters)"
