"""A command that deletes all conversations; its log lines share one id, as a request's do."""

from __future__ import annotations

import logging

from django.core.management.base import BaseCommand

from examples.django_app.models import Message

_LOGGER = logging.getLogger(__name__)


class Command(BaseCommand):
    """Delete all conversations."""

    help = "Delete all conversations."

    def handle(self, *_arguments: object, **_options: object) -> None:
        """Delete the conversations one by one."""
        total = 0
        conversations = Message.objects.values_list("conversation_id", flat=True)
        for conversation_id in conversations.distinct().order_by("conversation_id"):
            count, _ = Message.objects.filter(conversation_id=conversation_id).delete()
            _LOGGER.info(
                "conversation_forgotten",
                extra={"conversation_id": conversation_id, "messages": count},
            )
            total += count
        _LOGGER.info("forgetting_finished", extra={"messages": total})
