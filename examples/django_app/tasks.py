"""Work after the response, in a worker. This module contains no observability code either."""

from __future__ import annotations

import asyncio
import logging

from celery import shared_task
from django.core.cache import cache

from examples.gateway import LlmRequest, LlmResponse, open_gateway

from .models import Message

SECONDS_TO_KEEP_SUMMARIES = 3600

_LOGGER = logging.getLogger(__name__)


def summary_key(conversation_id: str) -> str:
    """Return the cache key of a conversation's summary."""
    return f"summary-{conversation_id}"


@shared_task
def summarise(conversation_id: str, model_alias: str) -> None:
    """Ask a model to summarise a conversation, and store the summary."""
    answers = Message.objects.filter(conversation_id=conversation_id).order_by("pk")
    text = " ".join(answers.values_list("answer", flat=True))
    response = asyncio.run(_ask(LlmRequest(model_alias, f"Sum up: {text}")))
    cache.set(summary_key(conversation_id), response.text, SECONDS_TO_KEEP_SUMMARIES)
    _LOGGER.info("conversation_summarised", extra={"conversation_id": conversation_id})


async def _ask(question: LlmRequest) -> LlmResponse:
    async with open_gateway() as gateway:
        return await gateway.generate(question)
