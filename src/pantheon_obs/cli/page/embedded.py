"""Prepare the data that a page carries: long texts and stories of many lines are cut."""

from __future__ import annotations

from typing import Any

import orjson

from pantheon_obs.cli.terminal import encoded
from pantheon_obs.cli.wording import cut

MOST_LINES = 1000  # of a story
_DEEPEST = 20


def shortened(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - JSON
    """Cut the texts in a value, with how much is left out; deep values become text."""
    if isinstance(value, dict | list) and depth > _DEEPEST:
        value = str(value)
    if isinstance(value, str):
        return cut(value)
    if isinstance(value, dict):
        return {shortened(key): shortened(part, depth + 1) for key, part in value.items()}
    if isinstance(value, list):
        return [shortened(part, depth + 1) for part in value]
    return value


def embedded_story(story: dict[str, Any]) -> dict[str, Any]:
    """Cut a story to what a page can show; its lines are JSON that is not parsed yet."""
    lines = story["lines"]
    left_out = max(len(lines) - MOST_LINES, 0)
    shown = {**story, "lines": lines[:MOST_LINES], "left_out": left_out}
    return shortened(orjson.loads(encoded(shown)))  # type: ignore[no-any-return]
