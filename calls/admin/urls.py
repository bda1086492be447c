"""Pages of the desk that belong to no model."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.urls import URLPattern, path

from calls.admin.banners import resume_calling
from calls.admin.now import now_fragment


def pages(site: AdminSite) -> list[URLPattern]:
    return [
        # Not behind admin_view: it answers a script, which would put the login page into the panel.
        path("now/", now_fragment, name="now"),
        path("calling/resume/", site.admin_view(resume_calling), name="resume_calling"),
    ]
