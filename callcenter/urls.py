from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from calls.api.initiate import InitiateCall

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("", include("calls.webhooks.urls")),
    path("", include("calls.public.urls")),
    path("initiate-call", InitiateCall.as_view(), name="initiate-call"),
    path("api/", include("calls.api.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "callcenter.problem_pages.bad_request"
handler500 = "callcenter.problem_pages.server_error"
