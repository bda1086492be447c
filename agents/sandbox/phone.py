"""The customer page: who rings, pick up, speak, hang up, ring back. Plain forms, refreshed by a script."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.template import Context, Engine
from django.utils.translation import gettext as _
from werkzeug.routing import Rule
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from agents.phone import BadNumber, pretty, to_e164
from agents.sandbox.account import now_ms
from agents.sandbox.network import NoSuchCall, NotPossible
from agents.sandbox.people import BY_NUMBER, MIX, TEST_NUMBERS
from agents.sandbox.phone_call import WITHHELD, PhoneCall, Stage

if TYPE_CHECKING:
    from agents.sandbox.server import Sandbox

PAGES = Path(__file__).parent / "pages"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; media-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FINISHED_SHOWN = 12
MAX_SAID = 500


class CustomerPage:
    def __init__(self, sandbox: Sandbox) -> None:
        self._box = sandbox
        self._engine = Engine(
            dirs=[str(PAGES)], autoescape=True, libraries={"i18n": "django.templatetags.i18n"}
        )

    def rules(self) -> Sequence[Rule]:
        def rule(method: str, path: str, endpoint: Callable[..., Response]) -> Rule:
            return Rule(path, methods=[method], endpoint=endpoint)

        return [
            rule("GET", "/", self.front),
            rule("GET", "/calls/<call_id>", self.call),
            rule("POST", "/calls/<call_id>/pick-up", self.pick_up),
            rule("POST", "/calls/<call_id>/say", self.say),
            rule("POST", "/calls/<call_id>/hang-up", self.hang_up),
            rule("POST", "/ring-us", self.ring_us),
            rule("POST", "/hold", self.hold),
            rule("POST", "/hold-all", self.hold_all),
            rule("GET", "/pages/sandbox.css", self.style),
            rule("GET", "/pages/sandbox.js", self.script),
        ]

    def serve(
        self, request: Request, endpoint: Callable[..., Response], values: Mapping[str, Any]
    ) -> Response:
        try:
            return endpoint(request, **values)
        except NoSuchCall:
            return self._page("problem.html", {"problem": _("There is no such call.")}, status=404)
        except NotPossible as problem:
            return self._page("problem.html", {"problem": str(problem)}, status=409)
        except BadNumber as problem:
            return self._page("problem.html", {"problem": " ".join(problem.messages)}, status=400)

    def front(self, request: Request) -> Response:
        network = self._box.network
        with network.lock:
            known = list(network.calls.values())
            going_on = [self._row(call) for call in known if not call.over]
            finished = [self._row(call) for call in reversed(known) if call.over][:FINISHED_SHOWN]
            held, hold_all = set(network.held_numbers), network.hold_all
        scripted = [
            {
                "number": f"{TEST_NUMBERS}01{digits}",
                "pretty": pretty(f"{TEST_NUMBERS}01{digits}"),
                "label": person.label,
                "held": f"{TEST_NUMBERS}01{digits}" in held,
            }
            for digits, person in sorted(BY_NUMBER.items())
        ]
        others = sorted(held - {row["number"] for row in scripted})
        return self._page(
            "front.html",
            {
                "going_on": going_on,
                "finished": finished,
                "scripted": scripted,
                "held_others": [{"number": number, "pretty": pretty(number)} for number in others],
                "hold_all": hold_all,
                "numbers": [
                    {"number": number["phone_number"], "label": number["nickname"]}
                    for number in self._box.account.numbers()
                ],
                "speed": f"{network.scheduler.speed:g}",
                "unanswered_share": round(MIX["no_answer"] + MIX["voicemail"]),
            },
        )

    def call(self, request: Request, call_id: str) -> Response:
        network = self._box.network
        with network.lock:
            call = network.call(call_id)
            context = {
                "call": self._row(call),
                "turns": [{"role": turn.role, "content": turn.content} for turn in call.so_far()],
                "speaking": call.live is not None and call.stage is Stage.TALKING,
                "replies": self._replies(call),
                "analysis": call.analysis() if call.analysed else None,
                "concluded": [
                    (name, self._readable(value))
                    for name, value in call.analysis().get("custom_analysis_data", {}).items()
                ],
                "recording": self._recording(call),
            }
        return self._page("call.html", context)

    def pick_up(self, request: Request, call_id: str) -> Response:
        self._box.network.pick_up(call_id)
        return redirect(f"/calls/{call_id}", 303)

    def say(self, request: Request, call_id: str) -> Response:
        text = " ".join(request.form.get("text", "").split())[:MAX_SAID]
        if text:
            self._box.network.say(call_id, text)
        return redirect(f"/calls/{call_id}", 303)

    def hang_up(self, request: Request, call_id: str) -> Response:
        self._box.network.hang_up_for_customer(call_id)
        return redirect(f"/calls/{call_id}", 303)

    def ring_us(self, request: Request) -> Response:
        call = self._box.network.ring_in(
            from_number=WITHHELD
            if "withheld" in request.form
            else to_e164(request.form.get("from_number", ""), country="US"),
            to_number=to_e164(request.form.get("to_number", ""), country="US"),
            held="talk" in request.form,
        )
        return redirect(f"/calls/{call.id}", 303)

    def hold(self, request: Request) -> Response:
        number = to_e164(request.form.get("number", ""), country="US")
        self._box.network.hold(number, request.form.get("on") == "1")
        return redirect("/#numbers", 303)

    def hold_all(self, request: Request) -> Response:
        self._box.network.hold_all = request.form.get("on") == "1"
        return redirect("/", 303)

    def style(self, request: Request) -> Response:
        return Response((PAGES / "sandbox.css").read_bytes(), content_type="text/css; charset=utf-8")

    def script(self, request: Request) -> Response:
        return Response((PAGES / "sandbox.js").read_bytes(), content_type="text/javascript; charset=utf-8")

    def _replies(self, call: PhoneCall) -> list[str]:
        if call.live is None or call.stage is not Stage.TALKING:
            return []
        return list(call.live.suggested_replies())

    def _recording(self, call: PhoneCall) -> str:
        return self._box.recordings.url_of(call) if call.over and call.connected else ""

    def _row(self, call: PhoneCall) -> dict[str, Any]:
        since_ms = call.answered_ms or call.rang_ms or call.created_ms
        until_ms = call.ended_ms if call.ended_ms is not None else now_ms()
        return {
            "id": call.id,
            "customer": pretty(call.customer),
            "ours": pretty(call.ours),
            "inbound": call.direction == "inbound",
            "agent": call.agent.get("agent_name", ""),
            "first_name": call.variables.get("first_name", ""),
            "stage": str(call.stage),
            "state": self._state(call),
            "seconds": max(0, (until_ms - since_ms) // 1000),
            "held": call.held,
            "can_pick_up": call.stage is Stage.RINGING and call.direction == "outbound",
            "over": call.over,
            "reason": call.reason,
        }

    def _readable(self, value: object) -> str:
        if isinstance(value, bool):
            return _("yes") if value else _("no")
        return str(value or "–")

    def _state(self, call: PhoneCall) -> str:
        words = {
            Stage.DIALLING: _("being dialled"),
            Stage.RINGING: _("ringing"),
            Stage.TALKING: _("on the phone"),
            Stage.OVER: _("ended"),
        }
        return words[call.stage]

    def _page(self, name: str, context: Mapping[str, Any], *, status: int = 200) -> Response:
        html = self._engine.get_template(name).render(Context(dict(context)))
        response = Response(html, status=status, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        return response
