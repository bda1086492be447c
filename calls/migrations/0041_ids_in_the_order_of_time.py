"""Ids of calls begin with their time from now on, so on SQLite the words of a transcript go by the end of it.

The index on `applied_at` was asked by nobody.
"""

from importlib import import_module

import calls.call_id
from django.db import migrations, models

before = import_module("calls.migrations.0016_forget_words")

GONE = "DROP TRIGGER IF EXISTS calls_transcript_forget_words"


def row_of(call_id):
    """The FTS row of a call in SQL, as `calls.search` counts it, from its 32 hexadecimal digits."""
    digits = [f"(instr('{before.DIGITS}', substr({call_id}, {n}, 1)) - 1)" for n in range(17, 33)]
    last = [f"(({digits[0]} & 7) << 60)", *(f"({digit} << {60 - 4 * n})" for n, digit in enumerate(digits) if n)]
    seven = f"substr({call_id}, 13, 1) = '7' AND substr({call_id}, 17, 1) IN ('8', '9', 'a', 'b')"
    return f"CASE WHEN {seven} THEN {' | '.join(last)} ELSE {before.row_of(call_id)} END"


TRIGGER = f"""
    CREATE TRIGGER calls_transcript_forget_words AFTER DELETE ON calls_transcript BEGIN
        DELETE FROM calls_transcript_words WHERE rowid = ({row_of("OLD.call_id")});
    END
"""


def forwards(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(GONE, params=None)
        schema_editor.execute(TRIGGER, params=None)


def backwards(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(GONE, params=None)
        schema_editor.execute(before.TRIGGER, params=None)


class Migration(migrations.Migration):
    dependencies = [("calls", "0040_one_index_for_an_events_key")]

    operations = [
        migrations.RemoveIndex(model_name="webhookevent", name="event_applied"),
        migrations.AlterField(
            model_name="call",
            name="id",
            field=models.UUIDField(
                default=calls.call_id.new_call_id, editable=False, primary_key=True, serialize=False
            ),
        ),
        migrations.RunPython(forwards, backwards),
    ]
