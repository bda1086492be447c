from django.urls import path

from calls.public.health import health, metrics, readyz

urlpatterns = [
    path("health", health, name="health"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
]
