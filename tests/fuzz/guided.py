"""Run one of the fuzz tests with atheris, which looks for inputs that reach new branches.

`python -m tests.fuzz.guided asgi -max_total_time=60`; further options are libFuzzer's. An input
that fails is printed as in the suite, and belongs into `corpus.py`.
"""

from __future__ import annotations

import logging
import sys

import atheris

with atheris.instrument_imports(include=["pantheon_obs"]):
    from tests.fuzz import test_doors, test_redaction, test_renderer

TARGETS = {
    "asgi": test_doors.test_an_asgi_connection_is_served_as_without_us,
    "wsgi": test_doors.test_a_wsgi_request_is_served_as_without_us,
    "renderer": test_renderer.test_any_object_makes_one_line,
    "redaction": test_redaction.test_any_text_is_redacted_once,
}


def main() -> None:
    """Fuzz until the time is over, or an input fails."""
    target, *options = sys.argv[1:]
    logging.disable()  # the guard's reports of hostile values
    fuzz = TARGETS[target].hypothesis.fuzz_one_input  # type: ignore[attr-defined]
    atheris.Setup([sys.argv[0], "-max_len=8192", "-len_control=0", *options], fuzz)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
