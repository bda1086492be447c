"""The course of one storm: made ready, let loose, calmed, come to rest, judged."""

from __future__ import annotations

import itertools
import time

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, connections

from calls.api.keys import make_key
from calls.models import Call, CallBatch, WebhookEvent
from calls.models.batch import BatchState
from calls.models.webhook_event import EventState
from tests.storm import database, people
from tests.storm.client import Client
from tests.storm.forgery import Forger
from tests.storm.ledger import Ledger
from tests.storm.notes import Notes
from tests.storm.plan import Plan
from tests.storm.traffic import Traffic
from tests.storm.verdict import Case, facts, judge, table, unheard_of
from tests.storm.weather import Weather
from tests.storm.world import World

BLOWS_UNTIL = 0.98
"""Share of the calls asked for that must be over before the weather calms down."""
TELL_EVERY_S = 15.0


def run(plan: Plan, world: World) -> bool:
    """Whether every promise held."""
    try:
        return _run(plan, world)
    finally:
        connections.close_all()
        _close_pool()


def _run(plan: Plan, world: World) -> bool:
    began = time.monotonic()
    notes = Notes()
    traffic = _make_ready(plan, world, notes)
    weather, forger = Weather(world), Forger(world, notes)
    print(f"Ready after {time.monotonic() - began:.0f} s.", flush=True)
    began = time.monotonic()
    for thread in (traffic, forger, weather):
        thread.start()
    _until_asked_and_mostly_over(plan, world, traffic)
    weather.calm()
    forger.stop()
    # Somebody missed long ago would else ring in after the network's account has been fetched.
    world.control("settings", rings_back=False)
    stormed = time.monotonic() - began
    print(f"Calm after {stormed:.0f} s; {plan.calls / stormed:.1f} calls a second.", flush=True)
    began = time.monotonic()
    quiet = world.wait(lambda: _at_rest(world), plan.rest_s)
    if quiet and unheard_of(Ledger(world)):
        # Of such a call no event arrived at all: the comparison with the network's own list finds it.
        print("Waiting for the next comparison with the network's list.", flush=True)
        world.wait(lambda: not unheard_of(Ledger(world)), plan.compared_within_s, every_s=5.0)
        quiet = world.wait(lambda: _at_rest(world), plan.rest_s)
    print(f"{'At rest' if quiet else 'NOT at rest'} after {time.monotonic() - began:.0f} s more.", flush=True)
    case = Case(plan, notes, Ledger(world), world.processes["web"].trouble, world.deaths)
    lines = judge(case)
    _tell(case, weather, world, table(lines))
    return all(line.held for line in lines)


def _make_ready(plan: Plan, world: World, notes: Notes) -> Traffic:
    world.start_network()
    call_command("migrate", verbosity=0, interactive=False)
    call_command("sync_agents", verbosity=0)
    database.log_permits()
    _key, secret = make_key("storm", ["read", "call"])
    there = people.numbers()
    numbers = list(itertools.islice(there, plan.calls))
    leads = people.make_leads(numbers)
    desk = User.objects.create_user("ana", is_staff=True, is_superuser=True)
    people.start_import(list(itertools.islice(there, max(200, plan.calls // 10))), desk)
    world.start_product()
    return Traffic(world, notes, Client(world.web_url, secret), desk, list(zip(leads, numbers, strict=True)))


def _until_asked_and_mostly_over(plan: Plan, world: World, traffic: Traffic) -> None:
    told_at = time.monotonic()

    def mostly_over() -> bool:
        nonlocal told_at
        if time.monotonic() - told_at > TELL_EVERY_S:
            told_at = time.monotonic()
            print(f"  {traffic.asked} asked for, {_open_calls()} not over", flush=True)
        return traffic.over and _open_calls() <= (1 - BLOWS_UNTIL) * plan.calls + 1

    # Whatever hangs must end: the rest is judged as it is.
    if not world.wait(mostly_over, 120 + plan.calls * 1.5):
        print("  It never came to an end by itself.", flush=True)


def _open_calls() -> int:
    return database.patiently(Call.objects.open().count)


def _at_rest(world: World) -> bool:
    """Nothing is on, nothing waits to be read, every analysis has come."""

    def quiet() -> bool:
        return not (
            Call.objects.open().exists()
            or CallBatch.objects.filter(state=BatchState.FILLING).exists()
            or WebhookEvent.objects.filter(state__in=[EventState.PENDING, EventState.FAILING]).exists()
            or Call.objects.filter(final=False).exclude(outcome="unknown").exists()
        )

    return database.patiently(quiet)


def _tell(case: Case, weather: Weather, world: World, told: str) -> None:
    print()
    for name, counted in facts(case).items():
        print(f"{name}: {counted}")
    print("weather: " + ", ".join(f"{what} {many}" for what, many in sorted(weather.counted.items())))
    print()
    print(told)
    print()
    print("\n".join(world.memory.told()))
    print(flush=True)


def _close_pool() -> None:
    """PostgreSQL waits for its last client before it ends."""
    close = getattr(connection, "close_pool", None)
    if close is not None:
        close()
