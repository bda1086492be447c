from django.urls import path

from calls.webhooks.retell import RetellInbound, RetellWebhook
from calls.webhooks.twilio import TwilioStatus, TwilioVoice

urlpatterns = [
    path("webhook/retell", RetellWebhook.as_view(), name="webhook-retell"),
    path("webhook/retell/inbound", RetellInbound.as_view(), name="webhook-retell-inbound"),
    path("webhook/twilio/status", TwilioStatus.as_view(), name="webhook-twilio-status"),
    path("webhook/twilio/status/<uuid:about>", TwilioStatus.as_view(), name="webhook-twilio-status"),
    path("webhook/twilio/voice/<slug:script>", TwilioVoice.as_view(), name="webhook-twilio-voice"),
    path(
        "webhook/twilio/voice/<slug:script>/<uuid:about>", TwilioVoice.as_view(), name="webhook-twilio-voice"
    ),
]
