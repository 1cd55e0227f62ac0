"""Services that fail with secrets in sight; under each path in a way of its own."""

SECRET = "hunter2-hunter2"  # noqa: S105 - nobody's
