"""OpenAI's Responses API.

Paths in parentheses are pages of https://platform.openai.com/docs/api-reference/.
"""

from __future__ import annotations

from typing import Any

from pantheon_obs.llm.usage.answer import Reported, as_count
from pantheon_obs.llm.usage.billed_items import add_tools
from pantheon_obs.llm.usage.errors import set_error
from pantheon_obs.llm.usage.fields import any_of, as_text, either, field, field_at, has
from pantheon_obs.llm.usage.vendors.openai_chat import take_in

# In a stream the name of a tool comes before its arguments, and reasoning may be encrypted.
_ITEM_CONTENT = ("name", "encrypted_content", "result")
# The last is the Realtime API's, as is the second name of a response.
_TERMINAL_EVENTS = ("response.completed", "response.incomplete", "response.failed", "response.done")
_OBJECTS = ("response", "realtime.response")


def response(value: Any, reported: Reported) -> Any:
    """Read a whole response, which has a status and no finish reason (responses/object)."""
    if field(value, "object") not in _OBJECTS:
        return False
    details = either(value, "incomplete_details", "status_details")  # of the Realtime API
    reason = as_text(field(details, "reason"))
    status = as_text(field(value, "status"))
    reported.note(model=field(value, "model"), finish_reason=reason or status, content=True)
    reported.set_job(value, status)
    if status == "failed":
        set_error(field(value, "error") or field(details, "error"), reported)
    reported.set_served("service_tier", field(value, "service_tier"))
    add_tools(field(value, "output"), reported)
    searches = field_at(value, "tool_usage", "web_search", "num_requests")
    if as_count(searches) is not None:  # some of those among the output are free
        reported.details = {**reported.details, "web_searches": searches}
    return field(value, "usage")


def event(value: Any, reported: Reported) -> Any:
    """Read an event (responses-streaming)."""
    kind = as_text(field(value, "type")) or ""
    if kind == "error" and (has(value, "code") or has(value, "error")):
        return _error_event(value, reported)
    if not kind.startswith("response."):
        return False
    reported.note(finished=kind in _TERMINAL_EVENTS)
    if kind.endswith(".delta"):
        reported.note(content=bool(field(value, "delta")))
        return None
    whole = field(value, "response")
    begun = any_of(value, "partial_image_b64") or any_of(field(value, "item"), *_ITEM_CONTENT)
    reported.note(model=field(whole, "model"), content=begun)
    if kind not in _TERMINAL_EVENTS:
        return None
    content = reported.content
    usage = response(whole, reported)
    reported.content = content
    return usage or None


def _error_event(value: Any, reported: Reported) -> None:
    """Read an error amidst the events: it is no content, and the last of them."""
    reported.finished = True
    error = field(value, "error")
    set_error({"code": field(value, "code")} if error is None else error, reported)


def tokens(usage: Any, reported: Reported) -> bool:
    """Read the counts of a chat under the names of the Responses API (responses/object)."""
    output, of_output = field(usage, "output_tokens"), field(usage, "output_tokens_details")
    of_input = field(usage, "input_tokens_details")
    if of_output is None and field(of_input, "image_tokens") is not None:
        reported.add_detail("images", output)  # of an unknown part of the output
    return take_in(reported, field(usage, "input_tokens"), output, of_input, of_output)
