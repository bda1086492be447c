# ruff: noqa: E501  tables are easier to read with long lines
"""What a typed reply means, and which moment it names: a handful of patterns, English, German and Spanish.

Enough for the page on which somebody plays the customer; no claim to understand more.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

OPT_OUT = re.compile(
    r"\b(never (?:ever )?call|stop calling|(?:do not|don'?t) (?:ever )?call|no more calls|(?:take|get) me off|off (?:your|the|that) list"
    r"|remove (?:me|my number)|unsubscribe|do not contact|leave me alone"
    r"|nie wieder|nicht (?:mehr|wieder) an(?:rufen|gerufen)|rufen sie (?:mich )?(?:bitte )?nicht|streichen sie|löschen sie"
    r"|no me llame|no vuelva|no quiero que me llamen|borr(?:en|e|ar)\b.*\b(?:número|lista)|quíteme)",
    re.I,
)
WRONG_NUMBER = re.compile(
    r"\b(wrong (?:number|person)|no ?(?:body|one)(?: here)? (?:by|of|with) that name|not (?:him|her)\b|don'?t know (?:him|her|that person)"
    r"|verwählt|falsche nummer|falsch verbunden|niemand mit diesem namen|equivocado|número equivocado|no vive)",
    re.I,
)
ROBOT = re.compile(
    r"\b(robot|bot|machine|real person|human|computer|are you (?:an? )?a\.?i|maschine|roboter|echter mensch|máquina|persona real)\b",
    re.I,
)
COLLEAGUE = re.compile(
    r"\b((?:speak|talk) (?:to|with) (?:a|an|your|the|somebody|someone)|put me through|transfer me|mitarbeiter|kollegen|hablar con)",
    re.I,
)
WHO = re.compile(
    r"\b(who (?:is|are|'s)|who'?s (?:this|calling)|what company|what is (?:this|it) about|where did you get"
    r"|wer (?:ist|sind|spricht)|worum geht|quién|de qué)",
    re.I,
)
PRICE = re.compile(
    r"\b(price|cost|costs|how much|expensive|cheap|discount|fee|dollars?|preis|kostet|kosten|teuer|rabatt|precio|cuesta|cuánto|caro)\b",
    re.I,
)
EMAIL = re.compile(
    r"\b(e-?mail|in writing|send (?:me|it|that|the)|schicken|schriftlich|per mail|correo|por escrito)\b", re.I
)
CALLBACK = re.compile(
    r"\b(call (?:me |us |you |again )?(?:back|later|tomorrow|again|on|at|in)|ring (?:me )?back|another time|try again"
    r"|später|rufen sie (?:mich )?(?:bitte )?(?:morgen|später|um|am)|zurückrufen|rückruf|llámeme|más tarde|otro momento)",
    re.I,
)
BUSY = re.compile(
    r"\b(busy|bad (?:time|moment)|not (?:a )?good (?:time|moment)|meeting|driving|no time|can'?t talk|at work|not now"
    r"|keine zeit|schlecht gerade|ganz schlecht|gerade nicht|ocupad[oa]|ahora no|no puedo hablar)",
    re.I,
)
NO = re.compile(
    r"\b(no|nope|not interested|no thanks?|don'?t (?:want|need)|already have|not really|nein|kein interesse|nicht interessiert"
    r"|brauche ich nicht|no me interesa|no gracias)\b",
    re.I,
)
YES = re.compile(
    r"\b(yes|yeah|yep|sure|ok|okay|fine|go on|go ahead|please do|of course|sounds good|why not|perfect|great|interested|works"
    r"|ja|gerne?|passt|klar|in ordnung|sí|si|claro|vale|de acuerdo|me interesa|perfecto|muy bien)\b",
    re.I,
)
REPEAT = re.compile(
    r"\b(sorry\?|pardon|say (?:that )?again|repeat|can'?t hear|wie bitte|nochmal|cómo\?|repita)", re.I
)
BYE = re.compile(r"\b(bye|goodbye|see you|tschüss|wiederhören|adiós|hasta luego)\b", re.I)
RUDE = re.compile(
    r"\b(hell|damn|stupid|idiots?|annoy\w*|sick of|fed up|shut up|scam|harass\w*|unverschämt|nervt?|frechheit|pesad[oa]s?)\b|!{2,}",
    re.I,
)
THANKS = re.compile(
    r"\b(thanks?|thank you|great|perfect|wonderful|lovely|danke|super|gracias|estupendo)\b", re.I
)

NUMBERS = {
    word: value
    for value, words in enumerate(
        (
            "one eins una", "two zwei dos", "three drei tres", "four vier cuatro", "five fünf cinco",
            "six sechs seis", "seven sieben siete", "eight acht ocho", "nine neun nueve", "ten zehn diez",
            "eleven elf once", "twelve zwölf doce",
        ),
        start=1,
    )
    for word in words.split()
}  # fmt: skip
HOUR_WORD = "|".join(NUMBERS)
WEEKDAYS = (
    "monday montag lunes", "tuesday dienstag martes", "wednesday mittwoch miércoles", "thursday donnerstag jueves",
    "friday freitag viernes", "saturday samstag sábado", "sunday sonntag domingo",
)  # fmt: skip
IN_A_WHILE = re.compile(
    rf"\bin (\d+|an?|einer|half an|una|{HOUR_WORD}) (hours?|minutes?|stunden?|minuten|horas?)", re.I
)
CLOCK = re.compile(
    rf"\b(?:at|around|about|after|um|gegen|nach|a las?|las|by)\s+(?:around\s+)?(\d{{1,2}}|{HOUR_WORD})(?:[:.](\d\d))?\s*(uhr)?\s*([ap]\.?m\b)?",
    re.I,
)
BARE_CLOCK = re.compile(r"\b(\d{1,2})(?:[:.](\d\d))?\s*(uhr\b)?\s*([ap]\.?m\b)?", re.I)
TOMORROW = re.compile(r"\b(tomorrow|morgen|mañana)\b", re.I)
DAY_PARTS = (
    (re.compile(r"\b(morning|vormittags?|morgens|por la mañana)\b", re.I), 10),
    (re.compile(r"\b(noon|mittags?|mediodía)\b", re.I), 12),
    (re.compile(r"\b(afternoon|nachmittags?|tarde)\b", re.I), 15),
    (re.compile(r"\b(evening|tonight|abends?|noche)\b", re.I), 18),
)


def moment(text: str, *, now: datetime) -> datetime | None:
    """The next moment that `text` names, on the clock of `now` (the callee's); None if it names none.

    A day without an hour means ten o'clock; an hour that is past today means tomorrow; hours from one to six
    without "am" are in the afternoon.
    """
    if match := IN_A_WHILE.search(text):
        return _in_a_while(match, now)
    days = _days_ahead(text, now)
    clock = CLOCK.search(text) or (BARE_CLOCK.search(text) if days is not None else None)
    hour, minute = (_hour(clock), int(clock[2] or 0)) if clock else (_part_of_day(text), 0)
    if days is None and hour is None:
        return None
    hour = 10 if hour is None else hour
    if hour > 23 or minute > 59:
        return None
    named = now.replace(hour=hour, minute=minute, second=0, microsecond=0) + timedelta(days=days or 0)
    return named if named > now else named + timedelta(days=1)


def _in_a_while(match: re.Match[str], now: datetime) -> datetime:
    much = match[1].lower()
    if much == "half an":
        return now + timedelta(minutes=30)
    count = int(much) if much.isdecimal() else NUMBERS.get(much, 1)
    unit = match[2].lower()
    return now + (timedelta(minutes=count) if unit.startswith("minut") else timedelta(hours=count))


def _days_ahead(text: str, now: datetime) -> int | None:
    for weekday, names in enumerate(WEEKDAYS):
        if re.search(rf"\b({'|'.join(names.split())})\b", text, re.I):
            return (weekday - now.weekday() - 1) % 7 + 1
    return 1 if TOMORROW.search(text) else None


def _hour(clock: re.Match[str]) -> int:
    said = clock[1].lower()
    hour = int(said) if said.isdecimal() else NUMBERS[said]
    half = (clock[4] or "").lower()[:1]
    if half == "p" or (not half and not clock[3] and 1 <= hour <= 6):
        return hour + 12 if hour < 12 else hour
    return 0 if half == "a" and hour == 12 else hour


def _part_of_day(text: str) -> int | None:
    for pattern, hour in DAY_PARTS:
        if pattern.search(text):
            return hour
    return None
