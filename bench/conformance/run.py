"""Make all calls under one library, and print what it has recorded, as JSON.

`python -m bench.conformance.run logfire`, in an environment that has it.
"""

from __future__ import annotations

import gc
import json
import logging
import signal
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bench.conformance.calls import make
from bench.conformance.contenders import CONTENDERS, SDKS
from bench.conformance.provider import provider
from bench.conformance.scenarios import scenarios

_LONGEST = 20  # seconds of one call


def results(name: str) -> dict[str, Any]:
    """Return the versions of the packages, and for each call the records and the exception."""
    contender = CONTENDERS[name]
    take = contender.set_up()
    gc.collect()
    gc.freeze()  # each call is followed by a collection, which need not look at the libraries
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    calls = {}
    with provider() as script:
        for scenario in scenarios():
            signal.alarm(_LONGEST)
            raised = make(scenario, script)
            signal.alarm(0)
            calls[scenario.name] = {"records": take(), "raised": raised}
    packages = [requirement.partition("==")[0] for requirement in (*contender.packages, *SDKS)]
    return {"versions": {each: _version(each) for each in packages}, "calls": calls}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable()
    print(json.dumps(results(sys.argv[1])))
