"""A small chat service: FastAPI, a model gateway, SQLite and one line of pantheon-obs."""
