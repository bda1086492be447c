"""Does PUBLIC_BASE_URL lead back to this installation? Asked from here, as the phone company would ask.

`/health` answers a word under `ECHO` with what only who knows our SECRET_KEY can make of it, so that
another site behind the same name is told from ours. The webhook's door must be open as well; it is asked for
its methods only, since what is posted there without a signature is counted as a stranger's.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx
from django.core.signing import Signer
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from agents.readiness import Check, Level, our_webhook
from callcenter.checks import calls_the_sandbox, on_loopback

ECHO = "X-Callcenter-Echo"
LONGEST_WORD = 64
TIMEOUT = httpx.Timeout(10.0, connect=5.0)
CODE = "reach"
WHAT_LEADS_HERE = (301, 302, 303, 307, 308)


def echo(word: str) -> str:
    """'' for what is no word of ours."""
    known = 0 < len(word) <= LONGEST_WORD and word.isascii() and word.isalnum()
    return Signer(salt="calls.provider_checks.reach").signature(word) if known else ""


def knock(base_url: str, *, transport: httpx.BaseTransport | None = None) -> Check:
    """Two requests, seconds at most; no database."""
    if not base_url:
        return _red(
            _("Nobody knows where this site can be reached: PUBLIC_BASE_URL is not set."),
            _("Set PUBLIC_BASE_URL to the address of this site."),
        )
    if on_loopback(base_url) and not calls_the_sandbox():
        return _red(
            _("%(url)s is an address that only this machine can reach.") % {"url": base_url},
            _("Set PUBLIC_BASE_URL to the address under which the outside reaches this site."),
        )
    word = secrets.token_hex(16)
    try:
        with httpx.Client(
            timeout=TIMEOUT, transport=transport, trust_env=not on_loopback(base_url)
        ) as client:
            health = client.get(f"{base_url}/health", headers={ECHO: word})
            door = client.options(our_webhook(base_url))
    except httpx.HTTPError as error:
        return _red(
            _("%(url)s does not answer: %(why)s.")
            % {"url": base_url, "why": str(error).rstrip(".")[:150] or type(error).__name__},
            _("Check that web runs, that the name leads to it, and the certificate of the proxy in front."),
        )
    return _judged(base_url, health, door, word)


def _judged(base_url: str, health: httpx.Response, door: httpx.Response, word: str) -> Check:
    for answer in (health, door):
        if answer.status_code in WHAT_LEADS_HERE:
            return _red(
                _("%(url)s sends its visitors on to %(there)s; the phone company does not follow.")
                % {"url": answer.url, "there": answer.headers.get("location", "?")[:200]},
                _("Set PUBLIC_BASE_URL to where it leads, or have the proxy pass webhooks and health on."),
            )
        if answer.status_code != HTTPStatus.OK:
            return _red(
                _("%(url)s answers %(status)d.") % {"url": answer.url, "status": answer.status_code},
                _("Something in between turns the phone company away: look at the proxy's rules."),
            )
    if not constant_time_compare(health.headers.get(ECHO, ""), echo(word)):
        return _red(
            _("Somebody else answers at %(url)s.") % {"url": base_url},
            _("PUBLIC_BASE_URL must lead to this site; all of its processes need the same SECRET_KEY."),
        )
    if urlsplit(base_url).scheme != "https" and not on_loopback(base_url):
        return Check(
            code=CODE,
            level=Level.AMBER,
            sentence=_("%(url)s leads here, without encryption.") % {"url": base_url},
            what_to_do=_("Put a proxy with a certificate in front, and https into PUBLIC_BASE_URL."),
        )
    return Check(code=CODE, level=Level.GREEN, sentence=_("%(url)s leads here.") % {"url": base_url})


def _red(sentence: str, what_to_do: str) -> Check:
    return Check(code=CODE, level=Level.RED, sentence=sentence, what_to_do=what_to_do)
