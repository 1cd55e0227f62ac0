"""The table of messages."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Create the table."""

    initial = True
    operations = (
        migrations.CreateModel(
            name="Message",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("conversation_id", models.SlugField(max_length=64)),
                ("question", models.TextField()),
                ("answer", models.TextField()),
            ],
        ),
    )
