"""A conversation in which somebody types the customer's part: the agent follows a simple scenario.

It greets as an AI, says why it calls, offers a visit, answers about price, time and itself, notes a
call-back, a wrong number or "never call me again", and closes. What it concludes follows from what was typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from agents.sandbox import understanding as means
from agents.sandbox.live_lines import DEFAULTS, LINES, REPLIES
from agents.sandbox.names import sounds_like_a_woman
from agents.sandbox.scripts import Analysis, Role, render
from agents.sandbox.talk import Conversation, Timeline, Turn, analysis_of, on_frame

Stage = Literal["greeting", "greeted", "offered", "asked_when", "asked_why", "closing"]

AGENT_PAUSE_S = 0.7
USER_PAUSE_S = 0.6
TAIL_S = 0.4


class LiveTalk:
    """One live conversation. Call `next_agent_line` with "" to open it, then with what the person typed.

    Nothing is said until `agent_says` and `user_says` put it on the timeline: whoever runs the page decides
    when. `wants_to_hang_up` turns true when the agent has said goodbye.
    """

    def __init__(
        self,
        *,
        variables: Mapping[str, str],
        now: datetime,
        local_tz: str | None,
        language: str = "en",
        seed: int | str = 0,
    ) -> None:
        short = language.replace("_", "-").split("-")[0].lower()
        self.language = short if short in LINES else "en"
        self.wants_to_hang_up = False
        self._variables = dict(variables)
        self._now = now
        self._here = now.astimezone(ZoneInfo(local_tz)) if local_tz else now
        self._seed = seed
        woman = sounds_like_a_woman(str(variables.get("first_name") or "")) and self.language == "en"
        person = f"{'woman' if woman else 'man'}-{self.language}"
        self._timeline = Timeline({"agent": f"agent-{self.language}", "user": person})
        self._stage: Stage = "greeting"
        self._facts = Analysis()
        self._callback: datetime | None = None
        self._said: list[str] = []
        self._last_line = ""

    def agent_says(self, text: str, *, at_s: float | None = None) -> Turn:
        """Puts the agent's line on the timeline, `at_s` seconds after the pick-up or after a short pause."""
        return self._says("agent", text, at_s, AGENT_PAUSE_S)

    def user_says(self, text: str, *, at_s: float | None = None) -> Turn:
        """Puts what the person typed on the timeline, in the same way.

        "Never call again" counts whenever it is said, also before the greeting or after the goodbye.
        """
        self._said.append(text)
        if means.OPT_OUT.search(text):
            self._note_opt_out(text)
        return self._says("user", text, at_s, USER_PAUSE_S)

    def suggested_replies(self) -> list[str]:
        """Replies worth a click at this point, in the call's language."""
        stage = "greeted" if self._stage == "greeting" else self._stage
        return list(REPLIES[self.language][stage])

    def next_agent_line(self, last_user_text: str) -> str:
        """What the agent answers; "" when it has nothing left to say."""
        if self._stage == "closing":
            return ""
        interrupted = means.OPT_OUT.search(last_user_text) or means.WRONG_NUMBER.search(last_user_text)
        greeting = self._stage == "greeting" and not interrupted
        key = "greeting" if greeting else self._answer(last_user_text.strip())
        if key == "greeting":
            self._stage = "greeted"
        if key != "repeat":
            self._last_line = render(LINES[self.language][key], self._variables, DEFAULTS[self.language])
        return self._last_line

    def so_far(self) -> Conversation:
        """The conversation as it stands; its analysis is what one would conclude by now."""
        return self._conversation("", tail_s=0.0)

    def finish(self, reason: str) -> Conversation:
        """The whole conversation, ended for `reason` (Retell's disconnection_reason)."""
        return self._conversation(reason, tail_s=TAIL_S)

    def _says(self, role: Role, text: str, at_s: float | None, pause_s: float) -> Turn:
        if at_s is not None:
            pause_s = max(0.0, at_s - self._timeline.end_s)
        return self._timeline.add(role, text, pause_s=pause_s)

    def _answer(self, text: str) -> str:
        if self._stage == "asked_when" and (when := means.moment(text, now=self._here)):
            return self._promise(when)
        for pattern, answer in (
            (means.OPT_OUT, self._opt_out),
            (means.WRONG_NUMBER, self._wrong_number),
            (means.CALLBACK, self._call_back),
            (means.COLLEAGUE, self._colleague),
            (means.BUSY, self._call_back),
            (means.ROBOT, lambda _: "robot"),
            (means.WHO, lambda _: "who"),
            (means.EMAIL, self._email),
            (means.PRICE, self._price),
            (means.REPEAT, lambda _: "repeat"),
            (means.NO, self._no),
            (means.YES, self._yes),
            (means.BYE, lambda _: self._close("goodbye")),
        ):
            if pattern.search(text):
                return answer(text)
        if self._stage == "asked_why":
            self._facts = replace(self._facts, objection=text)
            return self._close("thanks_for_telling")
        self._stage = "offered"
        return "simply"

    def _close(self, key: str) -> str:
        self._stage = "closing"
        self.wants_to_hang_up = True
        return key

    def _opt_out(self, text: str) -> str:
        self._note_opt_out(text)
        return self._close("opted_out")

    def _note_opt_out(self, text: str) -> None:
        self._facts = replace(
            self._facts,
            do_not_call=True,
            interested=False,
            objection=text,
            promise="The number is never called again.",
        )

    def _wrong_number(self, text: str) -> str:
        self._facts = replace(self._facts, objection="Wrong number.", wrong_number=True)
        return self._close("wrong_number")

    def _call_back(self, text: str) -> str:
        when = means.moment(text, now=self._here)
        if when is not None:
            return self._promise(when)
        self._stage = "asked_when"
        return "when"

    def _promise(self, when: datetime) -> str:
        self._callback = when
        promise = f"We call back on {when:%Y-%m-%d} at {when:%H:%M} their time."
        self._facts = replace(self._facts, successful=True, promise=promise)
        return self._close("promised")

    def _colleague(self, text: str) -> str:
        promise = "A colleague calls back today."
        self._facts = replace(self._facts, objection="Wants to speak to a person.", promise=promise)
        return self._close("no_colleague")

    def _email(self, text: str) -> str:
        self._facts = replace(self._facts, interested=True, successful=True, promise="An email today.")
        return self._close("by_email")

    def _price(self, text: str) -> str:
        self._stage = "offered"
        self._facts = replace(self._facts, objection="Price.")
        return "price"

    def _no(self, text: str) -> str:
        if self._stage == "asked_why":
            self._facts = replace(self._facts, objection=text)
            return self._close("thanks_for_telling")
        self._stage = "asked_why"
        self._facts = replace(self._facts, objection=text)
        return "why_not"

    def _yes(self, text: str) -> str:
        if self._stage == "offered":
            promise = "A visit on Thursday at 17:00; the confirmation goes out today."
            self._facts = replace(
                self._facts, interested=True, successful=True, promise=promise, objection=""
            )
            return self._close("booked")
        self._stage = "offered"
        return "offer"

    def _conversation(self, reason: str, *, tail_s: float) -> Conversation:
        callback = self._callback.isoformat() if self._callback else ""
        facts = replace(self._facts, sentiment=self._sentiment(), in_voicemail=reason == "voicemail_reached")
        analysis = analysis_of(facts, summary=self._summary(facts), callback_time=callback)
        turns = tuple(self._timeline.turns)
        return Conversation(
            script=None,
            language=self.language,
            turns=turns,
            duration_s=on_frame(self._timeline.end_s + tail_s),
            disconnection_reason=reason,
            analysis=analysis,
            made_of={
                "live": [[turn.role, turn.voice, turn.start_s, turn.content] for turn in turns],
                "language": self.language,
                "tail_s": tail_s,
                "reason": reason,
                "analysis": analysis,
            },
        )

    def _sentiment(self) -> Literal["Positive", "Neutral", "Negative", "Unknown"]:
        said = " ".join(self._said)
        if not said:
            return "Unknown"
        if means.RUDE.search(said) or self._facts.do_not_call:
            return "Negative"
        return "Positive" if self._facts.interested or means.THANKS.search(said) else "Neutral"

    def _summary(self, facts: Analysis) -> str:
        if not self._said:
            return "The person said nothing."
        who = render("{{first_name|The person}}", self._variables, {})
        if facts.do_not_call:
            happened = "asked never to be called again; this was promised"
        elif self._callback:
            happened = f"asked to be called back on {self._callback:%Y-%m-%d} at {self._callback:%H:%M}"
        elif facts.wrong_number:
            return "Wrong number."
        elif facts.interested:
            happened = "is interested"
        elif facts.objection:
            happened = "was not won over"
        else:
            happened = "ended the call before anything was agreed"
        last = self._said[-1].strip().rstrip(".")
        return f'{who} {happened}. Last words: "{last}".'
