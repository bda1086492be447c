"""WHO is in the book? Reading lead files, importing, merging, exporting."""

from calls.people import export_jobs, tasks
from calls.people.columns import Column, guess_columns
from calls.people.exports import csv_lines, export_rows, plain_cell, refused_rows, xlsx_file
from calls.people.imports import (
    IN_REQUEST,
    Preview,
    confirm,
    preview,
    run,
    stalled,
)
from calls.people.leads import ExternalIdTaken, add_lead, change_lead
from calls.people.reading import MAX_ROWS, Table, UnreadableFile, read_table

__all__ = [
    "IN_REQUEST",
    "MAX_ROWS",
    "Column",
    "ExternalIdTaken",
    "Preview",
    "Table",
    "UnreadableFile",
    "add_lead",
    "change_lead",
    "confirm",
    "csv_lines",
    "export_jobs",
    "export_rows",
    "guess_columns",
    "plain_cell",
    "preview",
    "read_table",
    "refused_rows",
    "run",
    "stalled",
    "tasks",
    "xlsx_file",
]
