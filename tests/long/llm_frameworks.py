"""Each call that a framework makes of a model is one event, whoever has made its client.

The frameworks have an environment of their own: some of them need older SDKs than the rest of the
suite. `make test-long` runs this file; see `framework_suites.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.llm.provider import provider
from tests.long.llm_calls import FRAMEWORKS
from tests.long.suites import CACHE, ROOT, find_uv

PACKAGES = (
    "langchain-openai",
    "llama-index-llms-openai",
    "instructor",
    "openai-agents",
    "pydantic-ai-slim[openai]",
    "litellm",
    "dspy",
)
PROGRAM = Path(__file__).with_name("llm_calls.py")


@pytest.fixture(scope="module")
def python() -> Path:
    """Make the environment of the frameworks, or bring it up to date; return its interpreter."""
    folder = CACHE / "llm-frameworks"
    interpreter = folder / "bin" / "python"
    uv = find_uv()
    if not interpreter.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    install = (uv, "pip", "install", "--quiet", "--python", interpreter)
    subprocess.run([*install, "--editable", ROOT, *PACKAGES], check=True)
    return interpreter


@pytest.mark.parametrize("framework", [framework.__name__ for framework in FRAMEWORKS])
def test_each_call_of_a_framework_is_one_event(python: Path, framework: str) -> None:
    """Clients made before and afterwards are observed."""
    with provider() as url:
        run = subprocess.run(
            [python, PROGRAM, framework, f"{url}/v1"],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    assert 0 == run.returncode, run.stderr[-5000:]
    # litellm's logging may print behind it, as the process ends.
    [calls] = [line for line in run.stdout.splitlines() if line.startswith('[["llm')]
    assert [["llm.chat", "ok", None, 1149]] * 2 == json.loads(calls)
