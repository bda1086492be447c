"""A past: as many ended calls, with events and transcripts, as one asks for, made by the database itself."""

from __future__ import annotations

from tests.bench.machine import Machine


def fill(machine: Machine, count: int) -> None:
    """Copies of one call, its transcript and its three events, with ids, numbers and days of their own."""
    from calls.models import Call, Transcript, WebhookEvent

    with machine.connect() as connection:
        row = connection.execute("SELECT id FROM calls_call WHERE status = 'ended' LIMIT 1").fetchone()
        if row is None:
            raise SystemExit("There is no ended call to copy.")
        own = {"id": "gen_random_uuid()", "counterpart": "'+1' || (2100000000 + n)::text",
               "provider_call_id": "'call_old_' || n"}  # fmt: skip
        moved = {"requested_at", "due_at", "placed_at", "sent_at", "claimed_at", "ended_at", "answered_at"}
        names = [field.column for field in Call._meta.concrete_fields if field.column]
        values = [
            own.get(name) or (f"{name} - n * interval '7 seconds'" if name in moved else name)
            for name in names
        ]
        connection.execute(
            f"INSERT INTO calls_call ({', '.join(names)}) SELECT {', '.join(values)}"
            f" FROM calls_call, generate_series(1, {count}) AS n WHERE id = %s",
            row,
        )
        for model, key in ((Transcript, None), (WebhookEvent, "md5(c.n::text || e.key) || md5(e.key)")):
            table = model._meta.db_table
            # A transcript's key is its call's.
            fields = [f.column for f in model._meta.concrete_fields if f.column and f.column != "id"]
            theirs = {"call_id": "c.id", "provider_call_id": "c.provider_call_id", "key": key}
            picked = [theirs.get(name) or f"e.{name}" for name in fields]
            connection.execute(
                f"INSERT INTO {table} ({', '.join(fields)}) SELECT {', '.join(picked)} FROM {table} e,"
                " (SELECT id, provider_call_id, row_number() OVER () AS n FROM calls_call"
                "  WHERE provider_call_id LIKE 'call_old_%%') AS c WHERE e.call_id = %s",
                row,
            )
        connection.execute("VACUUM ANALYZE")
