"""WSGI entry for every server: `callcenter.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "callcenter.settings")

application = get_wsgi_application()

from callcenter.checks import NotConfigured, refuse_without_settings  # noqa: E402  needs the apps loaded above

try:
    refuse_without_settings("web")
except NotConfigured as refusal:
    raise SystemExit(str(refusal)) from None
