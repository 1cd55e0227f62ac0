"""Google's generateContent.

https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from typing import Any

from tests.llm.provider.frames import Wire, data

MODEL = "gemini-3-flash"
# Thoughts are counted beside the candidates' tokens, which are 212 together.
USAGE = {
    "promptTokenCount": 1149,
    "cachedContentTokenCount": 1024,
    "candidatesTokenCount": 148,
    "thoughtsTokenCount": 64,
    "totalTokenCount": 1400,
}


def error(status: int) -> dict[str, Any]:
    """The body of an error response."""
    return {"error": {"code": status, "message": f"status {status}", "status": "INTERNAL"}}


def _parts(words: list[str]) -> list[dict[str, Any]]:
    if "tools" in words:
        return [{"functionCall": {"name": "find", "args": {"city": "Paris"}}}]
    texts = [{"text": "Par"}, {"text": "is."}]
    if "thinking" in words:
        return [{"text": "Hm.", "thought": True}, *texts]
    return texts


def _chunk(
    parts: list[dict[str, Any]], usage: dict[str, int], reason: str | None = None
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": MODEL,
        "responseId": "r-1",
    }


def answer(body: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """A response, or embeddings."""
    if body["method"] in ("embedContent", "batchEmbedContents"):
        return {"embeddings": [{"values": [0.25, 0.5]}]}
    return _chunk(_parts(words), USAGE, "SAFETY" if "refusal" in words else "STOP")


def stream(_: dict[str, Any], words: list[str]) -> Wire:
    """A response in chunks; each has the usage so far."""
    so_far = {"promptTokenCount": 1149, "cachedContentTokenCount": 1024, "totalTokenCount": 1149}
    chunks = [_chunk([part], so_far | {"candidatesTokenCount": 1}) for part in _parts(words)]
    chunks.append(_chunk([{"text": ""}], USAGE, "SAFETY" if "refusal" in words else "STOP"))
    return Wire([data(chunk) for chunk in chunks], 1, data(error(500)))
