"""Whole answers: each ends its call at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import report
from pantheon_obs.llm.methods import TEXTS
from pantheon_obs.llm.usage.several import Answers
from pantheon_obs.llm.usage.shapes import read

if TYPE_CHECKING:
    from pantheon_obs.llm.report import LlmCall

_SIMPLE = (str, bytes, int, float)
_MOST = 1000  # items of a list that are looked at


def done(result: Any, call: LlmCall, source: Any = None) -> Any:
    """End the call, and look for the usage in `source`."""
    call.end("ok")
    call.settle(source)
    return result


def bare_value(result: Any, call: LlmCall) -> Any:
    """End the call: the value reports nothing, except to the `usage=` option."""
    return done(result, call, None if call.options.usage is None else result)


def scalar(result: Any, call: LlmCall) -> Any:
    """End the call: an SDK that cannot read a body returns it as it is, a page of HTML perhaps."""
    sdk, operation = call.options.sdk, call.options.operation
    if sdk is not None and operation not in TEXTS:
        call.reported.no_answer = operation in (*sdk.operations.values(), *sdk.functions.values())
    return bare_value(result, call)


def value(result: Any, call: LlmCall) -> Any:
    """End the call with a whole answer, or with several."""
    complete = read_value(result, call)
    return done(result, call, None if complete else result)


def several(result: list[Any], call: LlmCall) -> Any:
    """End the call with a list, which may have several answers."""
    simple = not result or len(result) > _MOST or isinstance(result[0], _SIMPLE)
    return (bare_value if simple else value)(result, call)


def read_value(result: Any, call: LlmCall) -> bool:
    """Read a whole answer; return whether there is no more to be found."""
    call.reported.content = True  # not to be looked for
    try:
        if isinstance(result, (tuple, list)):
            answers = Answers(call.reported)
            for each in result:
                answers.add(each)
        else:
            read(result, call.reported)
    except Exception as error:  # noqa: BLE001 - the guard, without its cost per call
        report("llm result", error)
    known = call.reported.partial or call.reported.usage_status == "reported"
    return call.options.usage is None and known
