"""Pages of the desk that belong to no model."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.urls import URLPattern, path

from calls.admin import limits, provider_checks, stopping
from calls.admin.needs_a_look import decide, needs_a_look
from calls.admin.now import now_fragment


def pages(site: AdminSite) -> list[URLPattern]:
    return [
        # Not behind admin_view: it answers a script, which would put the login page into the panel.
        path("now/", now_fragment, name="now"),
        path("needs-a-look/", site.admin_view(needs_a_look), name="needs_a_look"),
        path("needs-a-look/<uuid:call_id>/", site.admin_view(decide), name="needs_a_look_decide"),
        path("calling/", site.admin_view(stopping.page), name="calling"),
        path("calling/limits/", site.admin_view(limits.page), name="limits"),
        path("calling/checks/", site.admin_view(provider_checks.page), name="provider_checks"),
        path("calling/stop/", site.admin_view(stopping.stop_calling), name="stop_calling"),
        path("calling/resume/", site.admin_view(stopping.resume_calling), name="resume_calling"),
        path("calling/hang-up/", site.admin_view(stopping.hang_up_left), name="hang_up_left"),
        path("calling/mended/", site.admin_view(stopping.account_mended), name="account_mended"),
        # As `now/`: it answers a script.
        path("calling/left/<int:stop_id>/", stopping.left_fragment, name="calls_stop_left"),
    ]
