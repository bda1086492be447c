"""What one row of a lead file says, and what is wrong with it. Pure: no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from agents import phone
from calls.people.columns import Column
from calls.people.reading import Table

YES = {"yes", "y", "true", "t", "1", "x", "ja", "j", "oui", "o", "si", "sí", "stop", "dnc"}
NO = {"", "no", "n", "false", "f", "0", "-", "nein", "non"}
LONGEST = {
    Column.NAME: 200,
    Column.COMPANY: 200,
    Column.EXTERNAL_ID: 120,
    Column.REASON: 300,
    Column.EMAIL: 254,
}
LONGEST_CUSTOM = 2000
LOWER_ZONES = {name.casefold(): name for name in available_timezones()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`problems` empty: may be imported. `phones`: E.164, in the order to dial. '': the file has no value."""

    number: int
    values: Mapping[str, str]
    """{header: cell}: as it was in the file, for the file of refused rows."""
    name: str = ""
    company: str = ""
    email: str = ""
    time_zone: str = ""
    external_id: str = ""
    reason: str = ""
    phones: tuple[str, ...] = ()
    do_not_call: bool = False
    custom: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def only_opts_out(self) -> bool:
        """A line of a do-not-call list: a number, nobody's name, and the word not to call."""
        return self.do_not_call and not self.name and bool(self.phones)


def read_rows(
    table: Table, columns: Mapping[str, str], *, country: str, most: int | None = None
) -> list[Row]:
    """Every row (or the first `most`), in order. Repeating an earlier good row is a problem too."""
    ids: dict[str, int] = {}
    numbers: dict[str, tuple[int, str]] = {}
    rows: list[Row] = []
    for number, cells in table.rows[:most]:
        row = _read(number, cells, table.header, columns, country)
        if not row.problems and not row.only_opts_out:
            again = _repeats(row, ids, numbers)
            if again:
                row = _with_problem(row, again)
            else:
                if row.external_id:
                    ids[row.external_id] = number
                numbers.setdefault(row.phones[0], (number, row.external_id))
        rows.append(row)
    return rows


def _with_problem(row: Row, problem: str) -> Row:
    return Row(
        number=row.number,
        values=row.values,
        phones=row.phones,
        do_not_call=row.do_not_call,
        problems=(problem,),
    )


def _repeats(row: Row, ids: Mapping[str, int], numbers: Mapping[str, tuple[int, str]]) -> str:
    """Two people may share a number only where the file tells them apart by their ids."""
    if row.external_id and row.external_id in ids:
        return _("The same id is in row %(row)d already.") % {"row": ids[row.external_id]}
    first, first_id = numbers.get(row.phones[0], (0, ""))
    if first and not (row.external_id and first_id):
        return _("The same number is in row %(row)d already.") % {"row": first}
    return ""


def _read(
    number: int, cells: Sequence[str], header: Sequence[str], columns: Mapping[str, str], country: str
) -> Row:
    values = dict(zip(header, cells, strict=False))
    problems: list[str] = []
    if len(cells) > len(header):
        values[_("without a heading")] = " | ".join(cells[len(header) :])
        problems.append(_("The row has more cells than the heading has columns."))
    given = {column: cell for head, cell in values.items() if (column := columns.get(head, "")) and cell}
    custom = {head: cell for head, cell in values.items() if columns.get(head) == Column.CUSTOM and cell}
    phones = _phones(given, country, problems)
    do_not_call = _yes(given.get(Column.DO_NOT_CALL, ""), problems)
    row = Row(
        number=number,
        values=values,
        name=_name(given),
        company=given.get(Column.COMPANY, ""),
        email=_email(given.get(Column.EMAIL, ""), problems),
        time_zone=_zone(given.get(Column.TIME_ZONE, ""), problems),
        external_id=given.get(Column.EXTERNAL_ID, ""),
        reason=given.get(Column.REASON, ""),
        phones=phones,
        do_not_call=do_not_call,
        custom=custom,
    )
    if not row.name and not row.only_opts_out:
        problems.append(_("There is no name."))
    problems += [
        _("“%(field)s” is longer than %(most)d characters.") % {"field": column.label, "most": most}
        for column, most in LONGEST.items()
        if len(str(getattr(row, column.value))) > most
    ]
    problems += [
        _("“%(field)s” is longer than %(most)d characters.") % {"field": head, "most": LONGEST_CUSTOM}
        for head, cell in custom.items()
        if len(cell) > LONGEST_CUSTOM
    ]
    if not problems:
        return row
    # What can be read of an opt-out holds even when the rest of its row cannot.
    return Row(number=number, values=values, phones=phones, do_not_call=do_not_call, problems=tuple(problems))


def _name(given: Mapping[str, str]) -> str:
    parts = [given.get(Column.FIRST_NAME, ""), given.get(Column.LAST_NAME, "")]
    return (
        given.get(Column.NAME, "")
        or " ".join(part for part in parts if part)
        or given.get(Column.COMPANY, "")
    )


def _phones(given: Mapping[str, str], country: str, problems: list[str]) -> tuple[str, ...]:
    found: list[str] = []
    for column in (Column.PHONE, Column.PHONE_2):
        raw = given.get(column, "")
        if not raw and column == Column.PHONE_2:
            continue
        try:
            number = phone.to_e164(raw.lstrip("'’"), country=country)
        except phone.BadNumber as problem:
            problems += problem.messages
        else:
            if number not in found:
                found.append(number)
    return tuple(found)


def _yes(text: str, problems: list[str]) -> bool:
    word = text.casefold()
    if word not in YES | NO:
        problems.append(_("“%(text)s” in “Do not call” is neither yes nor no.") % {"text": text})
    return word in YES


def _email(text: str, problems: list[str]) -> str:
    if text:
        try:
            validate_email(text)
        except ValidationError:
            problems.append(_("“%(text)s” is not an e-mail address.") % {"text": text})
    return text


def _zone(text: str, problems: list[str]) -> str:
    if not text:
        return ""
    zone = LOWER_ZONES.get(text.replace(" ", "_").casefold(), "")
    if not zone:
        problems.append(_("“%(text)s” is not a time zone. Write it as Europe/Berlin.") % {"text": text})
    return zone
