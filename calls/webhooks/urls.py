from django.urls import path

from calls.webhooks.retell import RetellInbound, RetellWebhook

urlpatterns = [
    path("webhook/retell", RetellWebhook.as_view(), name="webhook-retell"),
    path("webhook/retell/inbound", RetellInbound.as_view(), name="webhook-retell-inbound"),
]
