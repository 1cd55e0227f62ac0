"""The endpoints. Apart from one `bind`, observability is set up in the settings and the gateway."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import uuid
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from django import forms
from django.core.cache import cache
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET, require_POST
from openai import OpenAIError

from examples.gateway import LlmRequest, open_gateway
from pantheon_obs import bind

from . import tasks
from .models import Message

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

SECONDS_TO_KEEP_ANSWERS = 60

_LOGGER = logging.getLogger(__name__)


class JsonForm(forms.Form):
    """A JSON object from a client, which names the model to use."""

    model_alias = forms.CharField(required=False, empty_value="fast")

    @classmethod
    def of(cls, request: HttpRequest) -> Self:
        """Read the form from a JSON body; without a valid body, required fields are missing."""
        try:
            body = json.loads(request.body)
        except ValueError:
            body = None
        return cls(body if isinstance(body, dict) else {})

    def refusal(self) -> JsonResponse:
        """Answer a form that is not valid."""
        return JsonResponse({"errors": self.errors.get_json_data()}, status=400)


class QuestionForm(JsonForm):
    """The body of a request to either chat endpoint."""

    message = forms.CharField()
    conversation_id = forms.SlugField(required=False, max_length=64)

    def question(self) -> LlmRequest:
        """Return the question for the model."""
        return LlmRequest(self.cleaned_data["model_alias"], self.cleaned_data["message"])


@require_POST
async def chat(request: HttpRequest) -> HttpResponse:
    """Answer in one piece and store the exchange; answers are cached for a minute."""
    form = QuestionForm.of(request)
    if not form.is_valid():
        return form.refusal()
    question = form.question()
    _LOGGER.debug("question_received", extra={"characters": len(question.prompt)})
    conversation_id = form.cleaned_data["conversation_id"] or uuid.uuid4().hex
    key = hashlib.sha256(repr(question).encode()).hexdigest()
    answer, usage = await cache.aget(key), None
    if answer is None:
        try:
            async with open_gateway() as gateway:
                response = await gateway.generate(question)
        except OpenAIError as error:
            return JsonResponse({"error": type(error).__name__}, status=502)
        answer, usage = response.text, response.usage
        await cache.aset(key, answer, SECONDS_TO_KEEP_ANSWERS)
    await Message.objects.acreate(
        conversation_id=conversation_id, question=question.prompt, answer=answer
    )
    _LOGGER.info("chat_answered", extra={"conversation_id": conversation_id})
    return JsonResponse(
        {
            "conversation_id": conversation_id,
            "answer": answer,
            "usage": usage and asdict(usage),
        }
    )


@require_POST
async def chat_stream(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Answer piece by piece as server-sent events: `piece`…, then `done` or `error`."""
    form = QuestionForm.of(request)
    if not form.is_valid():
        return form.refusal()
    events = _events(form.question())
    is_async = isinstance(request, ASGIRequest)
    return StreamingHttpResponse(
        events if is_async else _in_step(events), content_type="text/event-stream"
    )


async def _events(question: LlmRequest) -> AsyncGenerator[str, None]:
    try:
        async with open_gateway() as gateway, aclosing(await gateway.stream(question)) as stream:
            async for piece in stream:
                yield _event("piece", {"text": piece})
            usage = await stream.usage_future
            yield _event("done", {"usage": usage and asdict(usage)})
    except OpenAIError as error:
        yield _event("error", {"error": type(error).__name__})


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def _in_step(events: AsyncGenerator[str, None]) -> Iterator[str]:
    """Yield the events under WSGI, where no event loop runs: one step of the loop per event."""

    async def following() -> str | None:
        return await anext(events, None)

    with asyncio.Runner() as runner:
        try:
            while (event := runner.run(following())) is not None:
                yield event
        finally:  # also if the client has disconnected
            runner.run(events.aclose())


@require_GET
def conversation(_request: HttpRequest, conversation_id: str) -> HttpResponse:
    """Return the messages of a conversation, oldest first."""
    messages = Message.objects.filter(conversation_id=conversation_id).order_by("pk")
    exchanges = list(messages.values("question", "answer"))
    if not exchanges:
        raise Http404
    _LOGGER.info("conversation_read", extra={"conversation_id": conversation_id})
    summary_text = cache.get(tasks.summary_key(conversation_id))
    return JsonResponse(
        {"conversation_id": conversation_id, "messages": exchanges, "summary": summary_text}
    )


@require_POST
def summary(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """Let a worker summarise a conversation after the response."""
    form = JsonForm.of(request)
    if not form.is_valid():
        return form.refusal()
    bind(conversation_id=conversation_id)
    task = tasks.summarise.delay(conversation_id, form.cleaned_data["model_alias"])
    return JsonResponse({"task_id": task.id}, status=202)


def sentry_debug(_request: HttpRequest) -> float:
    """Fail, so that an unhandled error arrives in the log and in Sentry."""
    return 1 / 0
