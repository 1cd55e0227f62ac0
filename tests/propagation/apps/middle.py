"""A Flask service that calls the next one through `requests`, or forwards headers by hand."""

from __future__ import annotations

import os

import requests
from flask import Flask, Response, request

from pantheon_obs import instrument
from pantheon_obs.propagation import propagate

NEXT = os.environ["NEXT"]
session = requests.Session()
session.trust_env = False
propagate(session)
app = Flask(__name__)


@app.get("/propagated")
def propagated() -> Response:
    """Pass the answer on."""
    return passed_on(session.get(f"{NEXT}/fail", timeout=30))


@app.get("/forwarded")
def forwarded() -> Response:
    """Forward only the headers of W3C, as the proxy of another vendor may do."""
    headers = {"traceparent": request.headers["traceparent"]}
    return passed_on(requests.get(f"{NEXT}/fail", headers=headers, timeout=30))


def passed_on(answer: requests.Response) -> Response:
    """Return the answer's status, and its id in a header of another name."""
    return Response(status=answer.status_code, headers={"X-Last": answer.headers["x-trace-id"]})


instrument(app)
