"""Rows that the database must refuse, of the newer tables; `test_rows` tries them with its own."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.db import models
from django.utils import timezone

from agents.models import NumberSetup, NumberSetupStep
from calls.models import (
    CallBack,
    CarrierRate,
    DeskAction,
    DeskTalk,
    Fallback,
    Menu,
    MenuKey,
    MenuPress,
    MenuVisit,
    NumberStanding,
    VoicemailMessage,
    VoicePlace,
)
from tests.factories import make_agent, make_call, make_number


def change(row: models.Model, **fields: Any) -> None:
    """Past `save`, validation and everything else of ours."""
    type(row)._base_manager.filter(pk=row.pk).update(**fields)


def twice(make: Callable[..., object], **fields: Any) -> None:
    make(**fields)
    make(**fields)


def make_task(**fields: Any) -> CallBack:
    return CallBack.objects.create(
        **{"number": "+14155550101", "due_at": timezone.now(), "kind": "task", **fields}
    )


def make_fallback(**fields: Any) -> Fallback:
    given = {"call": make_call("ended"), "wanted": "task", "why": "No.", "decided_at": timezone.now()}
    return Fallback.objects.create(**{**given, **fields})


def make_setup(**fields: Any) -> NumberSetup:
    given = {"number": "+14155550123", "number_sid": "PN1", "mark": uuid.uuid4().hex[:8]}
    return NumberSetup.objects.create(**{**given, "began_at": timezone.now(), **fields})


def make_setup_step(**fields: Any) -> NumberSetupStep:
    setup = fields.pop("setup", None) or make_setup()
    return NumberSetupStep.objects.create(**{"setup": setup, "step": "trunk", **fields})


def complete_without(**fields: Any) -> None:
    now = timezone.now()
    given = {
        "called_out_at": now,
        "called_in_at": now,
        "inbound_agent": make_agent(),
        "fallback_number": "+14155550124",
    }
    change(make_setup(**{**given, **fields}), completed_at=now)


def instead_of_itself() -> None:
    call = make_call("ended")
    make_fallback(call=call, made=call)


def make_standing(**fields: Any) -> NumberStanding:
    given = {"item": "carriers", "state": "not_needed", "noted_at": timezone.now(), **fields}
    return NumberStanding.objects.create(number=given.pop("number", None) or make_number(), **given)


def make_menu(**fields: Any) -> Menu:
    return Menu.objects.create(**{"name": uuid.uuid4().hex, "greeting": "Hello.", **fields})


def make_key(**fields: Any) -> MenuKey:
    given = {"key": 1, "what": "message", **fields}
    return MenuKey.objects.create(**{"menu": given.pop("menu", None) or make_menu(), **given})


def make_press(**fields: Any) -> MenuPress:
    visit = fields.pop("visit", None) or MenuVisit.objects.create(call=make_call("ended"))
    return MenuPress.objects.create(**{"visit": visit, "turn": 1, "pressed_at": timezone.now(), **fields})


def make_place(**fields: Any) -> VoicePlace:
    given = {"kind": "number", "sid": uuid.uuid4().hex, "name": "+14155550101", "seen_at": timezone.now()}
    return VoicePlace.objects.create(**{**given, **fields})


def make_talk(state: str) -> DeskTalk:
    return DeskTalk.objects.create(call=make_call("in_progress"), state=state, since=timezone.now())


def make_action(**fields: Any) -> DeskAction:
    given = {"call": make_call("in_progress"), "kind": "hold", "at": timezone.now()}
    return DeskAction.objects.create(**{**given, **fields})


def make_message(text: str = "Hello.") -> VoicemailMessage:
    return VoicemailMessage.objects.create(text=text)


def make_rate(**fields: Any) -> CarrierRate:
    return CarrierRate.objects.create(**{"prefix": "+1", "per_minute": "0.01", **fields})


REFUSED: list[tuple[str, Callable[[], object]]] = [
    ("when_refused_is_known", lambda: make_agent(when_refused="prayer")),
    ("call_back_kind_is_known", lambda: make_task(kind="wish")),
    ("a_task_is_nobodys_but_a_persons", lambda: make_task(agent=make_agent())),
    ("a_task_is_nobodys_but_a_persons", lambda: make_task(call=make_call("ended"))),
    ("calls_fallback.call_id", lambda: twice(make_fallback, call=make_call("ended"))),
    ("fallback_is_known", lambda: make_fallback(wanted="nothing")),
    ("fallback_state_is_known", lambda: make_fallback(state="odd")),
    ("fallback_is_another_call", instead_of_itself),
    ("one_row_per_number_and_item", lambda: twice(make_standing, number=make_number())),
    ("standing_item_is_known", lambda: make_standing(item="luck")),
    ("standing_has_a_date_exactly_when_done", lambda: make_standing(state="done")),
    ("standing_has_a_date_exactly_when_done", lambda: make_standing(done_on="2026-03-02")),
    ("standing_has_a_date_exactly_when_done", lambda: make_standing(state="perhaps")),
    ("calls_menu.name", lambda: twice(make_menu, name="Front door")),
    ("menu_offers_one_to_five_times", lambda: make_menu(tries=0)),
    ("menu_offers_one_to_five_times", lambda: make_menu(tries=6)),
    ("menu_end_is_known", lambda: make_menu(at_end="song")),
    ("menu_says_something", lambda: make_menu(greeting="")),
    ("a_key_leads_to_one_thing", lambda: twice(make_key, menu=make_menu())),
    ("menu_key_is_one_to_nine", lambda: make_key(key=10)),
    ("menu_action_is_known", lambda: make_key(what="dance")),
    ("menu_key_names_an_agent_when_it_leads_to_one", lambda: make_key(what="agent")),
    ("menu_key_names_an_agent_when_it_leads_to_one", lambda: make_key(agent=make_agent())),
    ("menu_key_names_a_telephone_when_it_leads_to_one", lambda: make_key(what="desk")),
    (
        "one_press_a_turn",
        lambda: twice(make_press, visit=MenuVisit.objects.create(call=make_call("ended"))),
    ),
    ("menu_press_is_known", lambda: make_press(what="dance")),
    ("voice_place_kind_is_known", lambda: make_place(kind="moon")),
    ("what_we_pointed_can_be_undone", lambda: make_place(pointed_at=timezone.now())),
    ("what_we_pointed_can_be_undone", lambda: make_place(former={})),
    ("calls_voiceplace.sid", lambda: twice(make_place, sid="PN1")),
    ("desk_state_is_known", lambda: make_talk("dancing")),
    ("desk_action_kind_is_known", lambda: make_action(kind="dance")),
    ("only_a_transfer_is_taken", lambda: make_action(taken_at=timezone.now())),
    ("one_voicemail_message_for_everybody", lambda: twice(make_message)),
    ("voicemail_message_says_something", lambda: make_message("")),
    ("carrier_rate_begins_a_number", lambda: make_rate(prefix="001")),
    ("carrier_rate_is_a_price", lambda: make_rate(per_minute="-0.01")),
    ("carrier_rate_has_a_currency", lambda: make_rate(currency="usd")),
    ("one_fallback_and_no_more", lambda: make_fallback(made=make_call("ended"), task=make_task())),
    ("agents_numbersetup.number", lambda: twice(make_setup)),
    ("setup_does_not_fall_back_to_itself", lambda: make_setup(fallback_number="+14155550123")),
    ("setup_is_attached_to_a_trunk", lambda: make_setup(attached=True)),
    ("setup_is_complete_with_proof", lambda: complete_without(called_out_at=None)),
    ("setup_is_complete_with_proof", lambda: complete_without(called_in_at=None)),
    ("setup_is_complete_with_proof", lambda: complete_without(inbound_agent=None)),
    ("setup_is_complete_with_proof", lambda: complete_without(fallback_number="")),
    ("number_is_offered_with_a_reason", lambda: make_number(offered_at=timezone.now())),
    ("number_is_offered_with_a_reason", lambda: make_number(offered_reason="because")),
    ("one_row_per_step_of_a_setup", lambda: twice(make_setup_step, setup=make_setup())),
    ("setup_step_is_known", lambda: make_setup_step(step="prayer")),
    ("setup_step_state_is_known", lambda: make_setup_step(state="odd", at=timezone.now())),
    ("setup_step_that_was_tried_says_when", lambda: make_setup_step(state="done")),
    ("setup_step_that_was_tried_says_when", lambda: make_setup_step(at=timezone.now())),
]
