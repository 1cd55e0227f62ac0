"""Run each library in an environment of its own, and write docs/llm-conformance.md."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from bench.conformance.contenders import CONTENDERS, OURS, SDKS
from bench.conformance.page import render

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "llm-conformance.md"
CACHE = ROOT / ".nox" / "conformance"  # ignored by git, removed by `make clean`
_LONGEST = 600  # seconds


def main() -> None:
    """Write the page."""
    results = {}
    for name in CONTENDERS:
        print(f"{name} …", flush=True)
        results[name] = _results(name)
    PAGE.write_text(render(results), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)} is written.")


def _results(name: str) -> dict[str, Any]:
    try:
        python = _environment(name)
        run = _run(str(python), "-m", "bench.conformance.run", name)
    except subprocess.CalledProcessError as error:
        return {"error": error.stderr.strip().splitlines()[-1]}
    except subprocess.TimeoutExpired as error:
        return {"error": str(error)}
    results: dict[str, Any] = json.loads(run.splitlines()[-1])
    return results


def _environment(name: str) -> Path:
    """Make the environment of a library, and return its interpreter."""
    uv, folder = find_uv_bin(), CACHE / name
    python = folder / "bin" / "python"
    if not python.exists():
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
    own = ("--editable", str(ROOT)) if name == OURS else ()
    packages = (*SDKS, *CONTENDERS[name].packages, *own)
    _run(uv, "pip", "install", "--quiet", "--prerelease=allow", "--python", str(python), *packages)
    return python


def _run(*command: str) -> str:
    return subprocess.run(  # noqa: S603 - programs of this project
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=_LONGEST
    ).stdout


if __name__ == "__main__":
    main()
