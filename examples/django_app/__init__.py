"""The chat service as a Django project: Postgres, Redis, and the settings lines of pantheon-obs."""
