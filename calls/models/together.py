"""Many rows in one statement, each with values of its own: statements cost more than rows do, since each is
built, sent, planned and waited for.

Not `bulk_update`: its CASE of all rows for each column takes longer than the updates one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.db import connection, models

from calls.models.clock import ClockNow


def update_each[Row: models.Model](
    rows: Sequence[Row], names: Collection[str], *, moments: Collection[str] = ()
) -> None:
    """Write the fields `names` of each row as they are set on it, and the database's clock to `moments`.

    The caller holds the rows' locks, so that what has not changed is written as it was read.
    """
    if not rows:
        return
    model = type(rows[0])
    key, all_fields = model._meta.pk, model._meta.concrete_fields
    fields = [field for field in all_fields if field.name in names]
    clock, _none = model._base_manager.all().query.get_compiler(connection=connection).compile(ClockNow())
    now = [f"{_column(field)} = {clock}" for field in all_fields if field.name in moments]
    values = [
        [field.get_db_prep_save(getattr(row, field.attname), connection) for field in (*fields, key)]
        for row in rows
    ]
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            # Nothing travels there, and the statement is compiled once for all.
            changes = ", ".join([*(f"{_column(field)} = %s" for field in fields), *now])
            cursor.executemany(f"UPDATE {table} SET {changes} WHERE {_column(key)} = %s", values)  # noqa: S608  our own names
            return
        changes = ", ".join([*(f"{_column(field)} = given.{_column(field)}" for field in fields), *now])
        names_given = ", ".join(_column(field) for field in (*fields, key))
        lists = ", ".join(f"%s::{_type(field)}[]" for field in (*fields, key))
        cursor.execute(
            f"UPDATE {table} SET {changes} FROM UNNEST({lists}) AS given ({names_given})"  # noqa: S608  our own names
            f" WHERE {table}.{_column(key)} = given.{_column(key)}",
            [list(column) for column in zip(*values, strict=True)],
        )


def _column(field: models.Field) -> str:  # type: ignore[type-arg]
    return connection.ops.quote_name(str(field.column))


def _type(field: models.Field) -> str:  # type: ignore[type-arg]
    """Without its length: a cast to varchar(12) would cut what is longer, where an update refuses it."""
    return str(field.db_type(connection)).split("(")[0]
