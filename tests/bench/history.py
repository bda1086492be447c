"""A past: as many ended calls, with events and transcripts, as one asks for, made by the database itself."""

from __future__ import annotations

from tests.bench.machine import Machine

CALL_ID = (
    "(lpad(to_hex((extract(epoch FROM now() - n * interval '7 seconds') * 1000)::bigint), 12, '0') || '7' ||"
    " left(md5(random()::text), 3) || '8' || left(md5(random()::text), 15))::uuid"
)
"""As `calls.call_id` makes them."""
KEY = "left(replace(c.id::text, '-', ''), 12) || left(md5(c.n || e.key) || md5(e.key || c.n), 52)"
"""As `calls.lifecycle.facts.event_key` makes them."""


def fill(machine: Machine, count: int) -> None:
    """Copies of one call, its transcript and its three events, with ids, numbers and days of their own, the
    oldest first. The phone company's ids are chance, as they are in life.
    """
    from calls.models import Call, Transcript, WebhookEvent

    with machine.connect() as connection:
        row = connection.execute("SELECT id FROM calls_call WHERE status = 'ended' LIMIT 1").fetchone()
        if row is None:
            raise SystemExit("There is no ended call to copy.")
        own = {"id": CALL_ID, "counterpart": "'+1' || (2100000000 + n)::text",
               "provider_call_id": "'call_' || md5(n::text)"}  # fmt: skip
        moved = {"requested_at", "due_at", "placed_at", "sent_at", "claimed_at", "ended_at", "answered_at"}
        names = [field.column for field in Call._meta.concrete_fields if field.column]
        values = [
            own.get(name) or (f"{name} - n * interval '7 seconds'" if name in moved else name)
            for name in names
        ]
        connection.execute(
            f"INSERT INTO calls_call ({', '.join(names)}) SELECT {', '.join(values)}"
            f" FROM calls_call, generate_series({count}, 1, -1) AS n WHERE id = %s",
            row,
        )
        for model, key in ((Transcript, None), (WebhookEvent, KEY)):
            table = model._meta.db_table
            # A transcript's key is its call's.
            fields = [f.column for f in model._meta.concrete_fields if f.column and f.column != "id"]
            theirs = {"call_id": "c.id", "provider_call_id": "c.provider_call_id", "key": key}
            theirs |= {
                name: f"e.{name} - c.n * interval '7 seconds'" for name in ("received_at", "applied_at")
            }
            picked = [theirs.get(name) or f"e.{name}" for name in fields]
            connection.execute(
                f"INSERT INTO {table} ({', '.join(fields)}) SELECT {', '.join(picked)} FROM {table} e,"
                " (SELECT id, provider_call_id, row_number() OVER (ORDER BY requested_at DESC) AS n"
                "  FROM calls_call WHERE id <> %s) AS c WHERE e.call_id = %s"
                f" ORDER BY c.n DESC{', e.id' if key else ''}",
                row * 2,
            )
        connection.execute("VACUUM ANALYZE")
