"""Full text over transcripts: what is searched the same way on both engines, without accents or case.

PostgreSQL: an expression index, kept by the database itself. SQLite: an FTS5 table, kept by
`calls.search.index_transcript`.
"""

from django.db import migrations

# Both engines cut words at the same marks; PostgreSQL's parser would otherwise see addresses,
# file names and signed or decimal numbers.
MARKS = """.,;:!?@/\\-_'"()[]{}<>#%&*+=|~`^$’‘“”„«»–—…¿¡·"""

POSTGRESQL = [
    f"""
    CREATE FUNCTION calls_plain(given text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $plain$
        SELECT lower(translate(
            regexp_replace(normalize(given, NFD), U&'[\\0300-\\036F]', '', 'g'),
            $marks${MARKS}$marks$, repeat(' ', {len(MARKS)})
        ))
    $plain$
    """,
    """
    CREATE INDEX transcript_words ON calls_transcript
        USING gin (to_tsvector('simple'::regconfig, calls_plain(text)))
    """,
]
POSTGRESQL_BACK = ["DROP INDEX IF EXISTS transcript_words", "DROP FUNCTION IF EXISTS calls_plain(text)"]

SQLITE = [
    """
    CREATE VIRTUAL TABLE calls_transcript_words USING fts5(
        text, call_id UNINDEXED, tokenize = "unicode61 remove_diacritics 2"
    )
    """,
]
SQLITE_BACK = ["DROP TABLE IF EXISTS calls_transcript_words"]


def run(schema_editor, statements):
    for statement in statements:
        # None: without parameters, so that a % in the text stays a %.
        schema_editor.execute(statement, params=None)


def forwards(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        run(schema_editor, POSTGRESQL)
        return
    run(schema_editor, SQLITE)
    transcripts = apps.get_model("calls", "Transcript").objects.exclude(text="")
    with schema_editor.connection.cursor() as cursor:
        for call_id, text in transcripts.values_list("call_id", "text").iterator():
            cursor.execute(
                "INSERT INTO calls_transcript_words (rowid, text, call_id) VALUES (%s, %s, %s)",
                [call_id.int >> 65, text, call_id.hex],
            )


def backwards(apps, schema_editor):
    run(schema_editor, POSTGRESQL_BACK if schema_editor.connection.vendor == "postgresql" else SQLITE_BACK)


class Migration(migrations.Migration):
    dependencies = [("calls", "0002_groups")]

    operations = [migrations.RunPython(forwards, backwards)]
