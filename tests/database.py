"""The database of the tests: how another process reaches it, and how it is emptied."""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction

Rows = list[tuple[Any, ...]]


def database_url() -> str:
    """DATABASE_URL of the test's own database, over a Unix socket too."""
    known = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{known['NAME']}"
    login = known["USER"] + (f":{known['PASSWORD']}" if known["PASSWORD"] else "")
    if str(known["HOST"]).startswith("/"):
        return f"postgresql://{login}@/{known['NAME']}?host={known['HOST']}"
    return f"postgresql://{login}@{known['HOST']}:{known['PORT'] or 5432}/{known['NAME']}"


class AsMigrated:
    """What stood in the tables when the migrations were done, to bring back after a test that committed.

    Django's flush truncates each table and writes these rows by the ORM: most of a second a test on
    PostgreSQL. Here only tables in which something stands are emptied, and only rows that changed are
    written again.
    """

    def __init__(self) -> None:
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        with connection.cursor() as cursor:
            self._rows = {table: rows for table in sorted(tables) if (rows := _rows_of(cursor, table))}
        self._empty = sorted(set(tables) - self._rows.keys())

    def bring_back(self) -> None:
        """Foreign keys are checked at the commit: the order of tables does not matter."""
        with transaction.atomic(), connection.cursor() as cursor:
            for table in self._filled(cursor):
                cursor.execute(f'DELETE FROM "{table}"')
            for table, rows in self._rows.items():
                if _rows_of(cursor, table) != rows:
                    cursor.execute(f'DELETE FROM "{table}"')
                    places = ", ".join(["%s"] * len(rows[0]))
                    cursor.executemany(f'INSERT INTO "{table}" VALUES ({places})', rows)

    def _filled(self, cursor: Any) -> list[str]:
        asked = " UNION ALL ".join(
            f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM \"{table}\")" for table in self._empty
        )
        cursor.execute(asked)
        return [table for (table,) in cursor.fetchall()]


def _rows_of(cursor: Any, table: str) -> Rows:
    cursor.execute(f'SELECT * FROM "{table}"')
    return sorted(cursor.fetchall(), key=repr)
