"""Two dialers that claim and place at the same time, in threads with connections of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from calls.dialer.claim import claim_next
from calls.dialer.place import place
from calls.models import Call
from tests.far_end import FarEnd

AT_MOST = timedelta(seconds=25)


@contextmanager
def two_dialers(*, until: str, placed: Callable[[], object] = lambda: None) -> Iterator[None]:
    """They dial until nothing is claimed for that reason; both have ended when the block is left."""
    both = threading.Barrier(2)
    latest = timezone.now() + AT_MOST

    def dial() -> None:
        both.wait()
        while timezone.now() < latest:
            provider = FarEnd().provider()
            call = claim_next(provider)
            if isinstance(call, Call):
                place(call, provider)
                placed()
            elif call.why == until:
                break
        connection.close()

    threads = [threading.Thread(target=dial) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(40)
        assert not thread.is_alive()
