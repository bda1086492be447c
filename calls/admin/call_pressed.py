"""What somebody pressed in a telephone menu, on the timeline of their call."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from calls.admin.call_step import Step
from calls.models import Call, Direction, MenuPress, MenuVisit


def pressed(call: Call) -> Iterator[Step]:
    if call.direction != Direction.INBOUND:
        return
    for one in MenuPress.objects.filter(visit=call.pk):
        text = _("They pressed %(key)s") % {"key": one.key} if one.key else _("They pressed nothing")
        yield Step(one.pressed_at, "dialpad", text, one.told)


def picked_up_by_us(call: Call) -> str:
    """Of a call in: who or what answered for us."""
    visit = MenuVisit.objects.select_related("menu").filter(call=call).first()
    if visit is None:
        return _("Our AI agent picked up")
    if visit.menu is None:
        return _("A telephone menu answered, which has been deleted since")
    return _("The menu “%(menu)s” answered") % {"menu": visit.menu.name}
