"""Statements that are sent for each call, compiled once: building their text anew takes Django several times
as long as sending them and reading the answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection, models, transaction
from django.db.models import Expression
from django.db.models.sql import UpdateQuery
from django.db.models.sql.constants import ROW_COUNT


class Given(Expression):
    """Stands in a prepared statement for a value that is given each time it is sent."""

    def __init__(self, name: str, field: models.Field[Any, Any]) -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]

    def bound(self, given: dict[str, Any]) -> Any:
        return self.output_field.get_db_prep_value(given[self.name], connection)


class _Statement:
    """One thread's: a compiler holds that thread's connection."""

    def __init__(self, query: Any) -> None:
        self.connection = connection.settings_dict["NAME"], connection.vendor
        self.given: dict[str, Any] = {}
        self.compiler = query.get_compiler(connection=connection)
        sql, params = self.compiler.as_sql()
        self.compiler.as_sql = lambda *_args, **_options: (
            sql,
            tuple(each.bound(self.given) if isinstance(each, Given) else each for each in params),
        )

    def fits(self) -> bool:
        """A test may have led this thread to another database since."""
        return self.connection == (connection.settings_dict["NAME"], connection.vendor)


class _Prepared[Made]:
    """`build` says with `Given` what changes; whatever else it reads, such as settings, is read once."""

    def __init__(self, build: Callable[[], Made]) -> None:
        self._build = build
        self._threads = threading.local()

    def _statement(self, given: dict[str, Any]) -> Any:
        kept = getattr(self._threads, "kept", None)
        if kept is None or not kept.fits():
            kept = self._threads.kept = self._make()
        kept.given = given
        return kept

    def _make(self) -> Any:
        raise NotImplementedError


class PreparedSelect[Row: models.Model](_Prepared[models.QuerySet[Row]]):
    def get(self, **given: Any) -> Row:
        """The one row. Raises the model's DoesNotExist."""
        rows = self._statement(given).rows
        found: list[Row] = list(rows._iterable_class(rows))
        if not found:
            raise rows.model.DoesNotExist
        return found[0]

    def _make(self) -> _Statement:
        rows: Any = self._build()
        made = _Statement(rows.query)
        rows.query.get_compiler = lambda *_args, **_options: made.compiler
        made.rows = rows  # type: ignore[attr-defined]
        return made


class PreparedUpdate(_Prepared[tuple[models.QuerySet[Any], dict[str, Any]]]):
    """`build` returns which rows, and what `QuerySet.update` would be given. How many rows changed."""

    def send(self, **given: Any) -> int:
        with transaction.mark_for_rollback_on_error():
            return int(self._statement(given).compiler.execute_sql(ROW_COUNT))

    def _make(self) -> _Statement:
        rows, columns = self._build()
        query: Any = rows.query.chain(UpdateQuery)
        query.add_update_values(columns)
        return _Statement(query)
