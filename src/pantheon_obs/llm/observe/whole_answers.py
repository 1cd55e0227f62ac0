"""Whole answers: each ends its call at once. A call may have several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import report
from pantheon_obs.llm.sdks import TEXTS
from pantheon_obs.llm.usage.answer import Reported
from pantheon_obs.llm.usage.fields import Memo, as_text, field
from pantheon_obs.llm.usage.shapes import MESSAGES, first, read, read_usage
from pantheon_obs.llm.usage.vendors.any_vendor import hidden_cost

if TYPE_CHECKING:
    from pantheon_obs.llm.report import LlmCall

_SIMPLE = (str, bytes, int, float)
_MOST = 1000  # items of a list that are looked at
_has_several = Memo(lambda kind: issubclass(kind, (tuple, list)))


def done(result: Any, call: LlmCall, source: Any = None) -> Any:
    """End the call, and look for the usage in `source`."""
    call.end("ok")
    call.settle(source)
    return result


def bare_value(result: Any, call: LlmCall) -> Any:
    """End the call: the value reports nothing, except to the `usage=` option."""
    return done(result, call, None if call.options.usage is None else result)


def scalar(result: Any, call: LlmCall) -> Any:
    """End the call. An SDK returns a body that it cannot read as it is: a page of HTML, perhaps."""
    sdk, operation = call.options.sdk, call.options.operation
    if sdk is not None and operation not in TEXTS:
        call.reported.no_answer = operation in (*sdk.operations.values(), *sdk.functions.values())
    return bare_value(result, call)


def whole_answer(result: Any, call: LlmCall) -> Any:
    """End the call with a whole answer, or with several."""
    complete = read_answer(result, call)
    return done(result, call, None if complete else result)


def list_of_answers(result: list[Any], call: LlmCall) -> Any:
    """End the call with a list, which may have several answers."""
    simple = not result or len(result) > _MOST or isinstance(result[0], _SIMPLE)
    return (bare_value if simple else whole_answer)(result, call)


def read_answer(result: Any, call: LlmCall) -> bool:
    """Read a whole answer; return whether there is no more to be found."""
    reported = call.reported
    reported.content = True  # a whole answer has some
    try:
        if _has_several[type(result)]:
            answers = SeveralAnswers(reported)
            for each in result:
                answers.add(each)
        else:
            read(result, reported)
    except Exception as error:  # noqa: BLE001 - the guard, without its cost per call
        report("llm result", error)
    known = reported.partial or (
        reported.input_tokens is not None and reported.output_tokens is not None
    )
    return call.options.usage is None and known


class SeveralAnswers:
    """The answers of a call, each of which may come with its usage, or twice, raw and parsed.

    A usage by itself counts only if there is no answer. `reported` gets the sums of the counts, and
    all other facts of the last answer.
    """

    def __init__(self, reported: Reported) -> None:
        self._reported = reported
        self._sums = Reported()
        self._found = False  # whether the sums belong to answers
        self._objects: dict[int, Any] = {}
        self._types: dict[str, Any] = {}  # by the answer's id

    def add(self, value: Any) -> None:
        """Read one more value: an answer, a usage, or a tuple of them."""
        for each in value if isinstance(value, tuple) else (value,):
            self._add(each)

    def _add(self, value: Any) -> None:
        part = Reported()
        usage = first(MESSAGES, value, part)
        if usage is False:
            counts = read_usage(value, part) and not self._found
        else:
            read_usage(usage, part)
            hidden_cost(value, part)
            counts = self._is_new(value)
            if not self._found:
                self._found, self._sums = True, Reported()
        if counts:
            self._sums.add_part(part)
        self._reported.parts = ()  # the answer has nothing to do with the parts before it
        read(value, self._reported)
        if len(self._sums.parts) > 1:
            self._reported.cost = None
            self._reported.take_sums(self._sums)

    def _is_new(self, value: Any) -> bool:
        """Whether an answer is no object that was there, nor the raw or parsed form of one."""
        if id(value) in self._objects:
            return False
        self._objects[id(value)] = value
        known, kind = as_text(field(value, "id")), type(value)
        return known is None or self._types.setdefault(known, kind) is kind
