"""Leads on their way out, as CSV or XLSX, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from tempfile import TemporaryFile
from typing import IO, Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from agents import phone
from calls.models import DoNotCall, Lead
from calls.people.columns import OURS, ROW_IN_FILE, WHY_REFUSED

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n")
AT_A_TIME = 1_000
HEADING = [
    "name", "company", "phone", "phone 2", "email", "time zone", "external id", "list", "owner", "status",
    "reason", "next action", "next action at", "do not call", "added",
]  # fmt: skip


def plain_cell(text: str) -> str:
    """What a spreadsheet would run as a formula gets an apostrophe in front (OWASP, CSV injection).

    A bare E.164 number starts with '+' and can run nothing: it stays as it is, so that it comes back whole.
    """
    if text.startswith(FORMULA_SIGNS) and not phone.is_e164(text):
        return f"'{text}"
    return text


def bare_cell(text: str) -> str:
    """What `plain_cell` was made of."""
    return text[1:] if text.startswith("'") and plain_cell(text[1:]) == text else text


def export_rows(leads: QuerySet[Lead]) -> Iterator[list[str]]:
    """The heading, then one row a lead. Read in bunches, so that memory does not grow with the list."""
    yield HEADING
    rows = leads.select_related("list", "owner").prefetch_related("phones")
    bunch: list[Lead] = []
    for lead in rows.iterator(chunk_size=AT_A_TIME):
        bunch.append(lead)
        if len(bunch) == AT_A_TIME:
            yield from bunch_rows(bunch)
            bunch = []
    yield from bunch_rows(bunch)


def bunch_rows(leads: Sequence[Lead]) -> Iterator[list[str]]:
    """One row a lead, with one look at do-not-call for all of them."""
    numbers = {one.number for lead in leads for one in lead.phones.all()}
    opted_out = DoNotCall.objects.numbers_among(numbers)
    for lead in leads:
        phones = [one.number for one in lead.phones.all()]
        yield [
            lead.name,
            lead.company,
            *[*phones, "", ""][:2],
            lead.email,
            lead.time_zone,
            lead.external_id or "",
            str(lead.list or ""),
            lead.owner.get_username() if lead.owner else "",
            lead.get_status_display(),
            lead.reason,
            lead.get_next_action_display() if lead.next_action else "",
            lead.next_action_at.isoformat() if lead.next_action_at else "",
            "yes" if opted_out & set(phones) else "no",
            lead.created_at.isoformat(),
        ]


def csv_lines(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """For a streaming answer. Starts with a byte order mark, without which Excel reads UTF-8 as cp1252."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    yield "\ufeff"
    for row in rows:
        writer.writerow([plain_cell(cell) for cell in row])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def xlsx_file(rows: Iterable[Sequence[str]]) -> IO[bytes]:
    """A temporary file, rewound. Every cell is text: nothing in it is a formula or loses digits."""
    # Every command and web process imports this file: only one that writes a workbook pays for its library.
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    book = Workbook(write_only=True)
    sheet = book.create_sheet(title=_("Leads")[:31])

    def text_cell(text: str) -> WriteOnlyCell:
        cell = WriteOnlyCell(sheet, value=ILLEGAL_CHARACTERS_RE.sub("", text))
        cell.data_type = "s"
        return cell

    for row in rows:
        sheet.append([text_cell(cell) for cell in row])
    file = TemporaryFile()  # noqa: SIM115  closed by the answer that streams it
    book.save(file)
    file.seek(0)
    return file


def refused_rows(refused: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """The file's own columns, then the reason: fit to be corrected and uploaded again."""
    header: dict[str, None] = {}
    for entry in refused:
        header.update(dict.fromkeys(name for name in entry["values"] if name not in OURS))
    yield [str(ROW_IN_FILE), *header, str(WHY_REFUSED)]
    for entry in refused:
        yield [str(entry["row"]), *(str(entry["values"].get(name, "")) for name in header), entry["reason"]]
