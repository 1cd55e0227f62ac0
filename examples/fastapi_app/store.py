"""Store conversations in SQLite."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from threading import Lock

from pantheon_obs import measure


class ConversationStore:
    """One SQLite connection, shared by the threads that the endpoints run in."""

    def __init__(self, path: str) -> None:
        self._lock = Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False)
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS messages (conversation_id TEXT, question TEXT, answer TEXT)"
        )

    def add(self, conversation_id: str, question: str, answer: str) -> None:
        """Store one question with its answer."""
        with measure("store"), self._lock, self._connection:
            self._connection.execute(
                "INSERT INTO messages VALUES (?, ?, ?)", (conversation_id, question, answer)
            )

    def messages(self, conversation_id: str) -> list[dict[str, str]]:
        """Return the messages of a conversation, oldest first; empty if it is unknown."""
        query = "SELECT question, answer FROM messages WHERE conversation_id = ? ORDER BY rowid"
        with (
            measure("store"),
            self._lock,
            closing(self._connection.execute(query, (conversation_id,))) as rows,
        ):
            return [{"question": question, "answer": answer} for question, answer in rows]

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
