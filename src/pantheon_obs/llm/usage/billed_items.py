"""Find the items billed beside the tokens. Vendors add some, so an unknown one counts as billed.

A count that the price list has no price for makes a call unpriced, which is better than a price
that leaves out a part of the bill.
"""

from __future__ import annotations

import re
from typing import Any

from pantheon_obs.llm.usage.answer import OTHER, Reported
from pantheon_obs.llm.usage.fields import Memo, as_text, field, field_at, items_of, stored

_WAYS = frozenset({"service_tier", "speed", "inference_geo"})
# Counts besides tokens in a usage, which nobody pays for or which are read by their own names.
_FREE_COUNT = re.compile(
    r".*(_[mnu]?s|time|duration|latency|attempts?|retries)|.*\..*|.*token.*|.*eval_count|index|seed"
    r"|(unmeasured_)?requests|tool_calls|web_(search|fetch)_requests|code_execution_requests"
    r"|search_units|images|cost_in_usd_ticks|(audio_)?seconds"
)
_TOKENS = frozenset(  # the most frequent fields, which are tokens; this is only faster
    f"{kind}_{part}"
    for kind in ("prompt", "completion", "input", "output", "total")
    for part in ("tokens", "tokens_details")
)
_MOST = 50  # fields of an object or items of a list: a usage has fewer
_DEPTH = 2
# The price list's names of the work that a vendor does for the model.
_PRICED_ITEMS = {"web_search_call": "web_searches", "file_search_call": "storage_searches"}
# The tokens that Anthropic's caches keep for a time, by their names in the price list.
CACHE_LIVES = {
    "ephemeral_5m_input_tokens": "cache_write_5m_tokens",
    "ephemeral_1h_input_tokens": "cache_write_1h_tokens",
}
# Items of an answer that cost their tokens only: the model's words, and work of the application's.
_FREE_ITEM = re.compile(
    r"message|message\.(in|out)put|text|reasoning|thinking|redacted_thinking|thought|model_output"
    r"|user_input|compaction|fallback|function[_.](call|result)|custom_tool_call|tool_use"
    r"|computer_call|local_shell_call|apply_patch_call|tool_search_call|url_context_call"
    r"|refusal|output_text|(invalid_)?tool_call(_chunk)?|input_json_delta|additional_tools"
    r"|agent\.handoff|container_upload|mcp_.*|.*_(output|result|response)"
)
_OWN_CITATIONS = ("document_citation", "function_citation")  # of the application's input
SERVED = ("annotations", "executed_tools")  # results of the vendor's searches and tools
_FREE_TOOL = re.compile(r"web_search|web_fetch|advisor|tool_search_tool.*")  # of Anthropic's


def add_other_counts(usage: Any, reported: Reported, depth: int = _DEPTH) -> None:
    """Add a usage object's counts besides tokens, and record how the call was served."""
    own = stored(usage)
    for name in own.keys() - _TOKENS if len(own) < _MOST else ():
        value = own.get(name)
        kind: Any = type(value)
        if value is None or kind is float or type(name) is not str or name.startswith("_"):
            continue
        if kind is int:
            if value > 0 and not _is_free[name]:
                reported.add_detail(OTHER, value)
        elif isinstance(value, str):
            if name in _WAYS:
                reported.set_served(name, value)
        elif depth and "token" not in name.lower():
            for part in value[:_MOST] if kind is list else (value,):
                add_other_counts(part, reported, depth - 1)


_is_free = Memo(lambda name: _FREE_COUNT.fullmatch(name.lower()) is not None)


def add_tools(items: Any, reported: Reported) -> None:
    """Count the searches and other work among the items of an answer that are not in its usage."""
    calls: dict[str, int] = {}
    for item in items if isinstance(items, (list, tuple)) else (items,):
        kind = as_text(field(item, "type"))
        if kind is None or _is_free_item[kind] or _costs_nothing(kind, item):
            continue
        name = _PRICED_ITEMS.get(kind, OTHER)
        calls[name] = calls.get(name, 0) + 1
    for name, number in calls.items():
        reported.add_detail(name, number)


_is_free_item = Memo(lambda kind: _FREE_ITEM.fullmatch(kind) is not None)


def _costs_nothing(kind: str, item: Any) -> bool:
    """Whether this item costs nothing, although others of its type do."""
    if kind == "server_tool_use":  # its searches are in the usage
        return _FREE_TOOL.fullmatch(as_text(field(item, "name")) or "") is not None
    if kind == "shell_call":
        return bool(field_at(item, "environment", "type") == "local")
    # A search may be followed by steps that open pages.
    action = field_at(item, "action", "type")
    return kind == "web_search_call" and action not in (None, "search")


def add_served(message: Any, reported: Reported) -> None:
    """Count a vendor's search results for a message of a chat, and the tools that it has run."""
    cited = items_of(field(message, "annotations"))
    executed = field(message, "executed_tools")
    if executed or any(field(one, "type") not in _OWN_CITATIONS for one in cited):
        reported.add_detail(OTHER, 1)
