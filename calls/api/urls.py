from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView

from calls.api.agents import Agents, OneAgent
from calls.api.call_steering import SteerCall
from calls.api.calls import Calls, CancelCall, HangUpCall, OneCall
from calls.api.do_not_call import DoNotCalls
from calls.api.leads import Leads, OneLead
from calls.api.pages import Docs, NothingHere

urlpatterns = [
    path("v1/agents/", Agents.as_view()),
    path("v1/agents/<int:pk>/", OneAgent.as_view()),
    path("v1/leads/", Leads.as_view()),
    path("v1/leads/<int:pk>/", OneLead.as_view()),
    path("v1/calls/", Calls.as_view()),
    path("v1/calls/<uuid:pk>/", OneCall.as_view()),
    path("v1/calls/<uuid:pk>/cancel/", CancelCall.as_view()),
    path("v1/calls/<uuid:pk>/hang-up/", HangUpCall.as_view()),
    path("v1/calls/<uuid:pk>/steer/", SteerCall.as_view()),
    path("v1/do-not-call/", DoNotCalls.as_view()),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", Docs.as_view(), name="docs"),
    re_path("", NothingHere.as_view()),
]
