"""Sales, Managers and Administrators come with the database."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission

pytestmark = pytest.mark.django_db


def permissions_of(name: str) -> set[str]:
    rows = Group.objects.get(name=name).permissions.select_related("content_type")
    return {f"{row.content_type.app_label}.{row.codename}" for row in rows}


def test_a_fresh_database_has_the_three_groups() -> None:
    assert set(Group.objects.values_list("name", flat=True)) >= {"Sales", "Managers", "Administrators"}


def test_each_group_may_all_that_the_one_before_it_may() -> None:
    assert permissions_of("Sales") < permissions_of("Managers") < permissions_of("Administrators")


def test_sales_may_call_and_stop_but_not_resume_or_lift() -> None:
    sales = permissions_of("Sales")
    assert {
        "calls.place_call",
        "calls.hang_up_call",
        "calls.steer_call",
        "calls.stop_calling",
        "calls.import_lead",
        "calls.add_donotcall",
        "calls.change_lead",
        "agents.view_agent",
    } <= sales
    assert not sales & {
        "calls.resume_calling",
        "calls.lift_donotcall",
        "calls.see_everyones",
        "calls.change_donotcall",
        "calls.delete_donotcall",
        "calls.view_apikey",
        "calls.view_webhookevent",
        "auth.view_user",
        "agents.change_agent",
    }


def test_managers_see_everyones_and_change_agents_but_no_users_or_keys() -> None:
    managers = permissions_of("Managers")
    assert {
        "calls.see_everyones",
        "calls.resume_calling",
        "calls.lift_donotcall",
        "agents.change_agent",
        "agents.change_phonenumber",
        "calls.change_leadlist",
    } <= managers
    assert not managers & {
        "auth.view_user",
        "calls.add_apikey",
        "calls.replay_event",
        "calls.view_webhookevent",
    }


def test_administrators_may_everything_in_our_apps() -> None:
    ours = Permission.objects.filter(content_type__app_label__in=["agents", "calls"]).select_related(
        "content_type"
    )
    assert {f"{row.content_type.app_label}.{row.codename}" for row in ours} <= permissions_of(
        "Administrators"
    )
    assert {"auth.add_user", "auth.change_group"} <= permissions_of("Administrators")


def test_no_permission_was_made_twice() -> None:
    pairs = list(Permission.objects.values_list("content_type", "codename"))
    assert len(pairs) == len(set(pairs))
