"""Telephone menus: what is heard in one, which of our numbers lead to it, and leading one there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from agents import phone
from agents.providers.base import ProviderError
from callcenter.connections import hand_back
from calls import menus
from calls.admin.menu_form import KeyInline
from calls.models import Menu, MenuAction, MenuEnd, MenuKey, VoicePlace

MAY_POINT = "agents.change_phonenumber"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happens in a menu: when, and what is then heard or done."""

    when: str
    said: str = ""
    done: str = ""
    problem: str = ""


def preview(menu: Menu) -> Iterator[Line]:
    """All of it, in the order in which somebody would come to it."""
    keys = list(menu.keys.select_related("agent", "desk__user"))
    offered = menus.offers(menu, keys)
    yield Line(_("Somebody rings"), f"{menu.greeting} {offered}".strip())
    for key in keys:
        yield _led_to(menu, key)
    again = _("As often as it is offered, %(tries)d times in all") % {"tries": menu.tries}
    yield Line(_("Nothing is pressed"), f"{menu.silence} {offered}".strip(), again)
    yield Line(_("Another key is pressed"), f"{menu.wrong_key} {offered}".strip(), again)
    yield Line(_("After that, or when nobody picks up"), *_at_end(menu))


def _led_to(menu: Menu, key: MenuKey) -> Line:
    when = _("%(key)d is pressed") % {"key": key.key}
    if key.what == MenuAction.MESSAGE:
        return Line(when, menu.notice, _("A message is recorded, kept and listed as a task"))
    if key.what == MenuAction.NEVER:
        return Line(
            when,
            _("Your number will not be called again."),
            _("Their number is on the do-not-call list from then on. Who withholds it is told to tell us"),
        )
    if key.what == MenuAction.DESK and key.desk is not None:
        number = phone.pretty(key.desk.number)
        return Line(when, "", _("%(number)s rings; whoever presses 1 there takes it") % {"number": number})
    agent = key.agent
    number = menus.agents_number(agent) if agent else ""
    if agent is None or not number:
        return Line(when, problem=_("The AI agent answers none of our numbers: nobody is rung."))
    return Line(
        when,
        "",
        _("%(agent)s is rung at %(number)s") % {"agent": agent.name, "number": phone.pretty(number)},
    )


def _at_end(menu: Menu) -> tuple[str, str]:
    if menu.at_end == MenuEnd.MESSAGE:
        return f"{menu.notice} {menu.goodbye}", _("A message is recorded, kept and listed as a task")
    return menu.goodbye, _("We hang up")


@admin.register(Menu)
class MenuAdmin(ModelAdmin):
    inlines = [KeyInline]
    list_display = ["name", "offered", "led_here"]
    search_fields = ["name"]
    show_full_result_count = False
    list_fullwidth = True
    actions = None
    when_empty = gettext_lazy(
        "A menu answers a number of the Twilio account by itself: a greeting, and a key each for an AI "
        "agent, a telephone of ours, a message, or never calling again."
    )
    fields = ["name", "greeting", "silence", "wrong_key", "tries", "at_end", "notice", "goodbye"]

    class Media:
        css = {"all": ["calls/leads.css", "calls/calls.css"]}

    @admin.display(description=gettext_lazy("keys"))
    def offered(self, menu: Menu) -> str:
        return ", ".join(f"{key.key} {key.words}" for key in menu.keys.all()) or _("none yet")

    @admin.display(description=gettext_lazy("who gets there"))
    def led_here(self, menu: Menu) -> str:
        return ", ".join(str(place) for place in menu.places.all()) or _("nobody yet")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("keys", "places")

    def has_delete_permission(self, request: HttpRequest, obj: Menu | None = None) -> bool:
        """Not while somebody is led there: they would hear an apology."""
        led_here = obj is not None and obj.places.exists()
        return bool(super().has_delete_permission(request, obj)) and not led_here

    def get_urls(self) -> list[URLPattern]:
        def at(tail: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
            found: URLPattern = path(
                f"<uuid:menu_id>/{tail}", self.admin_site.admin_view(view), name=f"calls_menu_{name}"
            )
            return found

        return [
            at("edit/", self.edit, "edit"),
            at("look/", require_POST(self.look), "look"),
            at("point/", require_POST(self.point), "point"),
            at("undo/", require_POST(self.undo), "undo"),
            *super().get_urls(),
        ]

    def menu_or_404(self, request: HttpRequest, menu_id: UUID | str, *permissions: str) -> Menu:
        """PermissionDenied without `permissions`."""
        if not request.user.has_perms(["calls.view_menu", *permissions]):
            raise PermissionDenied
        try:
            return Menu.objects.get(pk=UUID(str(menu_id)))
        except (Menu.DoesNotExist, ValueError) as error:
            raise Http404 from error

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """What the list links to: the page. The form is one step further, at edit/."""
        if request.method == "POST":
            answer: HttpResponse = self.changeform_view(request, object_id, form_url, extra_context)
            return answer
        menu = self.menu_or_404(request, object_id)
        places = list(VoicePlace.objects.select_related("menu", "pointed_by"))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": menu,
            "menu": menu,
            "title": _("Telephone menu"),
            "lines": list(preview(menu)),
            "here": [place for place in places if place.menu_id == menu.pk],
            "elsewhere": [place for place in places if place.menu_id != menu.pk],
            "seen_at": max((place.seen_at for place in places), default=None),
            "address": "" if menus.why_not_to_be_pointed() else menus.address_of(menu).partition("#")[0],
            "why_not": menus.why_not_to_be_pointed(),
            "may_change": request.user.has_perm("calls.change_menu"),
            "may_point": request.user.has_perm(MAY_POINT) and not menus.why_not_to_be_pointed(),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/calls/menu/page.html", context)

    def edit(self, request: HttpRequest, menu_id: UUID) -> HttpResponse:
        self.menu_or_404(request, menu_id, "calls.change_menu")
        answer: HttpResponse = self.changeform_view(request, str(menu_id), "", {"title": _("Edit menu")})
        return answer

    def response_add(
        self, request: HttpRequest, obj: Menu, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._saved(request, obj)

    def response_change(self, request: HttpRequest, obj: Menu) -> HttpResponse:
        return self._saved(request, obj)

    def _saved(self, request: HttpRequest, menu: Menu) -> HttpResponse:
        messages.success(request, _("Kept. From now on this is what is heard."))
        return self._back(menu)

    def look(self, request: HttpRequest, menu_id: UUID) -> HttpResponse:
        """Ask Twilio, and wait: a person asked for exactly that."""
        menu = self.menu_or_404(request, menu_id, MAY_POINT)
        self._asked(request, lambda: menus.look(now=timezone.now()), _("Twilio was asked."))
        return self._back(menu)

    def point(self, request: HttpRequest, menu_id: UUID) -> HttpResponse:
        menu = self.menu_or_404(request, menu_id, MAY_POINT)
        place = self._place(request)
        by: Any = request.user
        told = _("Whoever rings %(place)s hears this menu from now on.") % {"place": place}
        if self._asked(request, lambda: menus.point(place, menu, by=by, now=timezone.now()), told):
            self.log_change(request, menu, f"pointed here: {place.name}")
        return self._back(menu)

    def undo(self, request: HttpRequest, menu_id: UUID) -> HttpResponse:
        menu = self.menu_or_404(request, menu_id, MAY_POINT)
        place = self._place(request)
        told = _("%(place)s is as it was before.") % {"place": place}
        if self._asked(request, lambda: menus.undo(place, now=timezone.now()), told):
            self.log_change(request, menu, f"no longer pointed here: {place.name}")
        return self._back(menu)

    def _place(self, request: HttpRequest) -> VoicePlace:
        found = VoicePlace.objects.filter(sid=request.POST.get("sid", "")).first()
        if found is None:
            raise Http404
        return found

    def _asked(self, request: HttpRequest, ask: Callable[[], None], told: str) -> bool:
        if why_not := menus.why_not_to_be_pointed():
            messages.error(request, why_not)
            return False
        hand_back()
        try:
            ask()
        except menus.CannotPoint as problem:
            messages.error(request, str(problem))
        except ProviderError as error:
            messages.error(request, _("Twilio did not do it: %(why)s") % {"why": error.message})
        else:
            messages.success(request, told)
            return True
        return False

    def _back(self, menu: Menu) -> HttpResponse:
        return redirect("admin:calls_menu_change", menu.pk)
