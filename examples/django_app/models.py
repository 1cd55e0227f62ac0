"""The data that the service stores."""

from __future__ import annotations

from django.db import models


class Message(models.Model):
    """A question with its answer, as part of a conversation."""

    conversation_id = models.SlugField(max_length=64)
    question = models.TextField()
    answer = models.TextField()

    def __str__(self) -> str:
        return f"message {self.pk} of {self.conversation_id}"
