from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("", include("calls.webhooks.urls")),
    path("", include("calls.public.urls")),
    path("api/", include("calls.api.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "callcenter.problem_pages.bad_request"
handler500 = "callcenter.problem_pages.server_error"
