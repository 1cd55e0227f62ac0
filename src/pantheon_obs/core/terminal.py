"""The wish for colours, which the environment has for all programs: it is no option of ours."""

from __future__ import annotations

import os


def wants_colors() -> bool:
    """Whether a terminal shall have colours; see https://no-color.org."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
