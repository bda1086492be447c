"""A CSV or XLSX file as text cells. Raises UnreadableFile with a sentence for whoever uploaded it."""

from __future__ import annotations

import codecs
import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

from django.utils.translation import gettext as _

MAX_ROWS = 50_000
MAX_COLUMNS = 100
MAX_CELL = 5_000
MAX_UNZIPPED = 300 * 1024 * 1024
DELIMITERS = ",;\t|"


class UnreadableFile(ValueError):
    """Not a table of leads; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Table:
    """`rows`: (number of the line as a spreadsheet shows it, cells). A row is wider than the header only
    when it has something in a column without a heading, which is for the rules of import to refuse."""

    header: tuple[str, ...]
    rows: list[tuple[int, tuple[str, ...]]]


def read_table(content: bytes, file_name: str) -> Table:
    """The first sheet, or the CSV. Blank rows are passed over; cells are text, stripped."""
    if not content.strip():
        raise UnreadableFile(_("The file is empty."))
    if content.startswith(b"PK"):
        lines = _xlsx_lines(content)
    elif file_name.lower().endswith((".xls", ".xlsb", ".ods", ".numbers", ".pdf", ".docx")):
        raise UnreadableFile(_("This kind of file cannot be read. Save it as CSV or as XLSX."))
    else:
        lines = _csv_lines(_decode(content))
    return _table(lines)


def _table(lines: Iterable[Sequence[str]]) -> Table:
    header: tuple[str, ...] = ()
    rows: list[tuple[int, tuple[str, ...]]] = []
    for number, line in enumerate(lines, start=1):
        cells = [_clean(cell) for cell in line]
        if not any(cells):
            continue
        if not header:
            header = _header(cells)
            continue
        if len(rows) >= MAX_ROWS:
            raise UnreadableFile(_("The file has more than %(most)d rows. Split it.") % {"most": MAX_ROWS})
        beyond = cells[len(header) :] if any(cells[len(header) :]) else []
        wide = (cells + [""] * len(header))[: len(header)] + beyond
        rows.append((number, tuple(wide)))
    if not header:
        raise UnreadableFile(_("The file is empty."))
    if not rows:
        raise UnreadableFile(_("The file has a heading but no rows below it."))
    return Table(header, rows)


def _header(cells: list[str]) -> tuple[str, ...]:
    while cells and not cells[-1]:
        cells.pop()
    if len(cells) > MAX_COLUMNS:
        raise UnreadableFile(_("The file has more than %(most)d columns.") % {"most": MAX_COLUMNS})
    names: list[str] = []
    for position, cell in enumerate(cells, start=1):
        name = cell[:100] or _("Column %(number)d") % {"number": position}
        again = 2
        while name in names:
            name = f"{cell[:90]} ({again})"
            again += 1
        names.append(name)
    return tuple(names)


def _clean(cell: str) -> str:
    # PostgreSQL takes no NUL in text; other control characters only confuse whoever reads them.
    return "".join(sign for sign in cell[:MAX_CELL] if sign >= " " or sign in "\t\n").strip()


def _decode(content: bytes) -> str:
    for mark, encoding in [
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ]:
        if content.startswith(mark):
            return _decoded(content, encoding)
    if b"\x00" in content[:4096]:
        raise UnreadableFile(_("This is not a text file. Save it as CSV or as XLSX."))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return _decoded(content, "cp1252")


def _decoded(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableFile(_("The file's letters cannot be read. Save it as CSV in UTF-8.")) from error


def _csv_lines(text: str) -> Iterator[Sequence[str]]:
    delimiter = ""
    if text[:4].lower() == "sep=" and len(text) > 4:
        delimiter, text = text[4], text.partition("\n")[2]
    delimiter = delimiter or _delimiter(text)
    csv.field_size_limit(1_000_000)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error as error:
        raise UnreadableFile(_("The file is not a readable CSV: %(why)s") % {"why": error}) from error


def _delimiter(text: str) -> str:
    """The sign that splits the first lines into the most columns, and into equally many."""
    sample = text[:20_000].splitlines()[:20]

    def how_well(sign: str) -> tuple[int, int]:
        try:
            widths = [len(line) for line in csv.reader(sample, delimiter=sign) if any(line)]
        except csv.Error:
            return (0, 0)
        if not widths or widths[0] < 2:
            return (0, 0)
        return (sum(width == widths[0] for width in widths), widths[0])

    return max(DELIMITERS, key=how_well)


def _xlsx_lines(content: bytes) -> Iterator[Sequence[str]]:
    try:
        _refuse_a_bomb(content)
        # Only a process that reads a workbook needs what costs a fifth of a second to load.
        from openpyxl import load_workbook

        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        for line in sheet.iter_rows(values_only=True, max_col=MAX_COLUMNS + 1):
            yield [_cell_text(cell) for cell in line]
    except UnreadableFile:
        raise
    except (
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        IndexError,
        OSError,
        EOFError,
        TypeError,
        AttributeError,
    ) as error:
        # openpyxl has no error of its own for a workbook it cannot make sense of.
        raise UnreadableFile(_("The file is not a readable XLSX. Save it again, or as CSV.")) from error


def _refuse_a_bomb(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_UNZIPPED:
            raise UnreadableFile(_("The file is too large once unpacked. Split it."))


def _cell_text(cell: object) -> str:
    """A phone number typed as a number comes back whole: 14155550101, never 14155550101.0."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    return str(cell)
