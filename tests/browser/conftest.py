"""What an administrator has set up before a salesperson comes in, and a dialer that runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone

from agents import sync
from agents.models import Agent, PhoneNumber
from agents.providers.registry import get_provider
from calls.dialer.loop import Dialer


@pytest.fixture
def desk(live_server: Any, sandbox: Any, settings: LazySettings) -> Iterator[None]:
    settings.CALLS_PER_SECOND = 5.0
    settings.LOOK_FACTOR = 0.1
    sync.sync(get_provider(), now=timezone.now())
    Agent.objects.update(default_caller_id=PhoneNumber.objects.order_by("pk").first())
    dialer = Dialer(get_provider(), name="dialer of the day")
    thread = threading.Thread(target=dialer.run)
    thread.start()
    yield
    dialer.stop()
    thread.join(timeout=40)
