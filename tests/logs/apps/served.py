"""Serve the plain app from a program: `python -m tests.logs.apps.served PORT WORKERS`."""

from __future__ import annotations

import sys

import uvicorn

from pantheon_obs import logging_config

if __name__ == "__main__":
    uvicorn.run(
        "tests.logs.apps.plain:app",
        host="127.0.0.1",
        port=int(sys.argv[1]),
        workers=int(sys.argv[2]),
        log_config=logging_config(log_format="json"),
    )
