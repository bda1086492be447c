"""How another process reaches the database of a test."""

from __future__ import annotations

from django.db import connection


def database_url() -> str:
    """DATABASE_URL of the test's own database, over a Unix socket too."""
    known = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{known['NAME']}"
    login = known["USER"] + (f":{known['PASSWORD']}" if known["PASSWORD"] else "")
    if str(known["HOST"]).startswith("/"):
        return f"postgresql://{login}@/{known['NAME']}?host={known['HOST']}"
    return f"postgresql://{login}@{known['HOST']}:{known['PORT'] or 5432}/{known['NAME']}"
