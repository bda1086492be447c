"""The door as the handbooks write it: a DRF view with the ORM behind every middleware, one row a request."""

# ruff: noqa: E402  the project has to be found before it is imported

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "callcenter.settings")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

from django.conf import settings
from django.urls import path
from django.utils import timezone
from rest_framework.parsers import JSONParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.providers import retell_signature
from agents.providers.base import BadSignature
from calls.models import WebhookEvent


class Webhook(APIView):
    permission_classes = [AllowAny]
    parser_classes = [JSONParser]

    def post(self, request: Request) -> Response:
        body = request._request.body
        signature = request.headers.get("x-retell-signature", "")
        try:
            retell_signature.verify(body, signature, keys=settings.RETELL_WEBHOOK_KEYS, now=timezone.now())
        except BadSignature as refusal:
            return Response({"detail": str(refusal)}, status=401)
        now = timezone.now()
        WebhookEvent.objects.get_or_create(
            key=hashlib.sha256(b"webhook\0current\0" + body).hexdigest(),
            defaults={
                "body": body,
                "signature": signature,
                "received_at": now,
                "next_try_at": now,
                "name": request.data.get("event", ""),
            },
        )
        return Response(status=200)


urlpatterns = [path("webhook/retell", Webhook.as_view())]
settings.ROOT_URLCONF = __name__
