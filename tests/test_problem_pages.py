"""What people see who type a wrong address, may not, or meet our mistake: a sentence and the way back."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

import callcenter.urls


def breaks(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError


def forbids(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


urlpatterns = [path("breaks/", breaks), path("forbids/", forbids), *callcenter.urls.urlpatterns]


def test_the_bare_address_leads_to_the_desk(client: Client) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


@pytest.mark.parametrize(
    ("address", "status", "says"),
    [
        ("/nowhere/", 404, "There is nothing here"),
        ("/forbids/", 403, "You may not do this"),
        ("/breaks/", 500, "Something went wrong"),
    ],
)
def test_every_problem_has_a_page_with_the_way_back(
    client: Client, settings: LazySettings, address: str, status: int, says: str
) -> None:
    settings.ROOT_URLCONF = __name__
    client.raise_request_exception = False
    answer = client.get(address)
    assert answer.status_code == status
    page = answer.content.decode()
    assert says in page
    assert 'href="/admin/"' in page


def test_what_is_broken_elsewhere_does_not_break_the_page_that_says_so(
    client: Client, settings: LazySettings
) -> None:
    settings.ROOT_URLCONF = __name__
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }
    client.raise_request_exception = False
    answer = client.get("/breaks/")
    assert "Something went wrong" in answer.content.decode()
