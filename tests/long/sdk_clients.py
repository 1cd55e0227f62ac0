"""The real clients of SDKs and frameworks that are heavy, each group in an environment of its own.

`make test-long` runs this file; `PYTEST_ARGS="-k litellm"` runs a part of it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.long.suites import CACHE, ROOT

# litellm pins the versions of others. Each group is one environment.
GROUPS = {
    "sdks": ("claude-agent-sdk", "cohere", "mistralai", "together", "xai-sdk"),
    "frameworks": (
        "langchain-openai",
        "llama-index-llms-openai",
        "pydantic-ai-slim[openai]",
    ),
    "litellm": ("litellm",),
}


@pytest.mark.parametrize("group", GROUPS)
def test_each_call_of_a_model_makes_one_event(group: str) -> None:
    """`clients.py` passes in the environment, and skips the clients of the other groups."""
    environment = CACHE / f"clients-{group}"
    python = environment / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--clear", environment], check=True)
    packages = ["--editable", ROOT, "pytest", *GROUPS[group]]
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, *packages], check=True)
    # Without the suite's own options: they need packages that are not there.
    options = ["--noconftest", "--import-mode=importlib", "-c", os.devnull, "--rootdir", ROOT]
    run = subprocess.run(
        [python, "-m", "pytest", *options, "-o", "pythonpath=.", "tests/long/clients.py"],
        cwd=ROOT,
        env=os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == run.returncode, run.stdout
    assert " passed" in run.stdout
