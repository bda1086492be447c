"""The desk: one admin site for sales staff, managers and administrators.

Frame only: navigation, name, badge. What stands on the pages is in `calls.admin`, which reaches this
site through `UNFOLD` in the settings (front page, banners) and through `extra_urls`.
"""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.urls import URLPattern, URLResolver, reverse
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from unfold.sites import UnfoldAdminSite

from callcenter.checks import calls_the_sandbox

Item = tuple[Any, str, str]

# title, model, icon
WORK: list[Item] = [
    (_("Leads"), "calls.lead", "contacts"),
    (_("Calls"), "calls.call", "call"),
    (_("Promises and tasks"), "calls.callback", "phone_callback"),
    (_("Do not call"), "calls.donotcall", "do_not_disturb_on"),
]
SET_UP: list[Item] = [
    (_("AI agents"), "agents.agent", "record_voice_over"),
    (_("Phone numbers"), "agents.phonenumber", "dialpad"),
    (_("Telephone menus"), "calls.menu", "account_tree"),
    (_("Messages for mailboxes"), "calls.voicemailmessage", "voicemail"),
    (_("Lists"), "calls.leadlist", "lists"),
    (_("Imports"), "calls.leadimport", "upload_file"),
    (_("Exports"), "calls.leadexport", "download"),
    (_("Batches"), "calls.callbatch", "queue"),
]
ADMINISTRATION: list[Item] = [
    (_("Users"), "auth.user", "person"),
    (_("Groups"), "auth.group", "groups"),
    (_("API keys"), "calls.apikey", "key"),
    (_("Carrier's prices"), "calls.carrierrate", "price_change"),
    (_("Stored events"), "calls.webhookevent", "inbox"),
    (_("Comparisons"), "calls.comparison", "compare_arrows"),
    (_("Processes"), "calls.heartbeat", "monitor_heart"),
]
# What counts something behind a name in the navigation: shown in red while it is not nothing.
BADGES = {"calls.webhookevent": "calls.admin.banners.events_badge"}


class CallCenterSite(UnfoldAdminSite):
    """Django's admin as a desk for calling: `admin.site` everywhere."""

    enable_nav_sidebar = True
    index_title = _("Dashboard")

    def extra_urls(self) -> list[URLPattern | URLResolver]:
        """Pages of the desk that belong to no model: `calls.admin.urls`, found when URLs are first needed."""
        pages = import_string("calls.admin.urls.pages")
        return list(pages(self))

    def group(self, request: HttpRequest, title: Any, items: list[Item], **options: Any) -> dict[str, Any]:
        """One block of the navigation: the models that are on this desk and that this person may see."""
        shown = []
        registered = {model._meta.label_lower: admin for model, admin in self._registry.items()}
        for name, label, icon in items:
            model_admin = registered.get(label)
            if model_admin is None or not model_admin.has_view_permission(request):
                continue
            link = reverse(f"{self.name}:{label.replace('.', '_')}_changelist")
            entry: dict[str, Any] = {"title": name, "icon": icon, "link": link}
            if label in BADGES:
                entry |= {"badge": BADGES[label], "badge_variant": "danger"}
            shown.append(entry)
        return {"title": title, "items": shown, **options}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    site = cast("CallCenterSite", admin.site)
    front = {"title": _("Dashboard"), "icon": "dashboard", "link": reverse(f"{site.name}:index")}
    work = site.group(request, None, WORK)
    work["items"].insert(0, front)
    if request.user.has_perm("calls.view_call"):
        work["items"].append(
            {
                "title": _("Needs a look"),
                "icon": "visibility",
                "link": reverse(f"{site.name}:needs_a_look"),
                "badge": "calls.admin.needs_a_look.badge",
                "badge_variant": "danger",
            }
        )
    rule = site.group(request, _("Administration"), ADMINISTRATION, separator=True)
    if request.user.has_perm("calls.change_dailycap"):
        limits = reverse(f"{site.name}:limits")
        rule["items"].append(
            {"title": _("Daily limits"), "icon": "production_quantity_limits", "link": limits}
        )
    if request.user.has_perm("calls.resume_calling"):
        checks = reverse(f"{site.name}:provider_checks")
        rule["items"].append({"title": _("Phone company"), "icon": "network_check", "link": checks})
    return [work, site.group(request, _("Set-up"), SET_UP, separator=True), rule]


def company(request: HttpRequest) -> str:
    return str(settings.COMPANY_NAME)


def environment(request: HttpRequest) -> list[Any]:
    """The badge beside the title: whether telephones ring."""
    if calls_the_sandbox():
        return [_("Sandbox"), "info"]
    if settings.DEBUG:
        return [_("Development"), "warning"]
    return [_("Live"), "success"]
