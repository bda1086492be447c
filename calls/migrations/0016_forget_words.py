"""SQLite: a transcript that goes takes its words with it. PostgreSQL's index does so by itself.

A later migration that alters Transcript makes its table anew, and must make this trigger again.
"""

from django.db import migrations

DIGITS = "0123456789abcdef"


def row_of(call_id):
    """The FTS row of a call in SQL: `call_id.int >> 65`, from its 32 hexadecimal digits."""
    digits = [f"(instr('{DIGITS}', substr({call_id}, {n}, 1)) - 1)" for n in range(1, 17)]
    shifted = [f"({digit} << {63 - 4 * n})" for n, digit in enumerate(digits[:15], start=1)]
    return " | ".join([*shifted, f"({digits[15]} >> 1)"])


TRIGGER = f"""
    CREATE TRIGGER calls_transcript_forget_words AFTER DELETE ON calls_transcript BEGIN
        DELETE FROM calls_transcript_words WHERE rowid = ({row_of("OLD.call_id")});
    END
"""
ORPHANS = "DELETE FROM calls_transcript_words WHERE call_id NOT IN (SELECT call_id FROM calls_transcript)"


def forwards(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(ORPHANS, params=None)
        schema_editor.execute(TRIGGER, params=None)


def backwards(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TRIGGER IF EXISTS calls_transcript_forget_words", params=None)


class Migration(migrations.Migration):
    dependencies = [("calls", "0015_comparisons")]

    operations = [migrations.RunPython(forwards, backwards)]
