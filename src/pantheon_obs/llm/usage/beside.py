"""Find the items billed beside the tokens. Vendors add some, so an unknown one counts as billed.

A count that the price list has no price for makes a call unpriced, which is better than a price
that leaves out a part of the bill.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.usage.fields import Memo, field, stored, text
from pantheon_obs.llm.usage.reported import Reported, count

if TYPE_CHECKING:
    from collections.abc import Mapping

OTHER = "other"  # the name of counts without a price
# How a call is served if the body says nothing of it; the price is the standard one.
_STANDARD = frozenset(
    (
        *("", "auto", "default", "standard", "standard_only", "on_demand", "global"),
        *("not_available", "unspecified", "traffic_type_unspecified"),
    )
)
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


def add_beside(usage: Any, reported: Reported, depth: int = _DEPTH) -> None:
    """Add a usage object's counts besides tokens, and record how the call was served."""
    own = stored(usage)
    for name in own.keys() - _TOKENS if len(own) < _MOST else ():
        value = own.get(name)
        kind: Any = type(value)
        if value is None or kind is float or type(name) is not str or name.startswith("_"):
            continue
        if kind is int:
            if value > 0 and not _is_free[name]:
                add_detail(reported, OTHER, value)
        elif isinstance(value, str):
            if name in _WAYS:
                set_served(reported, name, value)
        elif depth and "token" not in name.lower():
            for part in value[:_MOST] if kind is list else (value,):
                add_beside(part, reported, depth - 1)


_is_free = Memo(lambda name: _FREE_COUNT.fullmatch(name.lower()) is not None)


def add_tools(items: Any, reported: Reported) -> None:
    """Count the searches and other work among the items of an answer that are not in its usage."""
    calls: dict[str, int] = {}
    for item in items if isinstance(items, (list, tuple)) else (items,):
        kind = text(field(item, "type"))
        if kind is None or _is_free_item[kind] or _costs_nothing(kind, item):
            continue
        name = _PRICED_ITEMS.get(kind, OTHER)
        calls[name] = calls.get(name, 0) + 1
    for name, number in calls.items():
        add_detail(reported, name, number)


_is_free_item = Memo(lambda kind: _FREE_ITEM.fullmatch(kind) is not None)


def _costs_nothing(kind: str, item: Any) -> bool:
    """Whether this item costs nothing, although others of its type do."""
    if kind == "server_tool_use":  # its searches are in the usage
        return _FREE_TOOL.fullmatch(text(field(item, "name")) or "") is not None
    if kind == "shell_call":
        return bool(field(field(item, "environment"), "type") == "local")
    # A search may be followed by steps that open pages.
    action = field(field(item, "action"), "type")
    return kind == "web_search_call" and action not in (None, "search")


def add_served(message: Any, reported: Reported) -> None:
    """Count a vendor's search results for a message of a chat, and the tools that it has run."""
    noted, executed = field(message, "annotations"), field(message, "executed_tools")
    cited = noted if isinstance(noted, (list, tuple)) else ()
    if executed or any(field(one, "type") not in _OWN_CITATIONS for one in cited):
        add_detail(reported, OTHER, 1)


def add_detail(reported: Reported, name: str, value: object) -> None:
    """Keep a count that only the price depends on; one that is 0 is left out."""
    number = count(value) if value else None
    if number:
        reported.details = {**reported.details, name: number}


def add_details(reported: Reported, values: Any, names: Mapping[str, str]) -> None:
    """Keep an object's counts that only the price depends on; `names` maps its fields."""
    for name, kept in names.items():
        add_detail(reported, kept, field(values, name))


def set_served(reported: Reported, name: str, value: object) -> None:
    """Keep how the call was served, unless that has the standard price."""
    way = (text(value) or "").lower()
    if way in _STANDARD and not reported.served:
        return
    served = {key: known for key, known in reported.served.items() if key != name}
    if way == "batch":
        served["processing"] = way
    elif way not in _STANDARD:
        served[name] = way
    if served != reported.served:
        reported.served = served
