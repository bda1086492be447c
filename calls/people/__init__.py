"""WHO is in the book? Reading lead files, importing, merging, exporting."""

from calls.people.columns import Column, guess_columns
from calls.people.exports import export_rows, plain_cell
from calls.people.imports import (
    IN_REQUEST,
    Preview,
    confirm,
    preview,
    run,
    stalled,
)
from calls.people.reading import MAX_ROWS, Table, UnreadableFile, read_table

__all__ = [
    "IN_REQUEST",
    "MAX_ROWS",
    "Column",
    "Preview",
    "Table",
    "UnreadableFile",
    "confirm",
    "export_rows",
    "guess_columns",
    "plain_cell",
    "preview",
    "read_table",
    "run",
    "stalled",
]
