"""Which provider speaks for this installation: built once a process for the settings in force."""

from __future__ import annotations

import threading

from django.conf import settings
from django.utils.module_loading import import_string

from agents.providers.abilities import Ability
from agents.providers.base import Provider

# By contract; imported on first use, so that a migration needs no HTTP client.
CONTRACTS = {
    "current": "agents.providers.retell.RetellProvider",
    "article": "agents.providers.retell_article.ArticleProvider",
}
BESIDE = {"twilio": "agents.providers.twilio.provider.TwilioProvider"}
"""Contracts that stand beside the one in force: asked for by name alone."""
PROVIDERS = {"retell": "Retell AI"}
"""Who has AI agents and numbers of its own."""

_lock = threading.Lock()
_built: dict[tuple[str, ...], Provider] = {}


def choices() -> list[tuple[str, str]]:
    """For the `provider` columns: a callable, so that a new provider needs no migration."""
    return list(PROVIDERS.items())


def get_provider(contract: str | None = None) -> Provider:
    """The one instance of this process. Raises KeyError for a contract this release does not have."""
    contract = contract or settings.RETELL_CONTRACT
    key = (
        contract,
        settings.RETELL_BASE_URL,
        settings.RETELL_API_KEY,
        ",".join(settings.RETELL_WEBHOOK_KEYS),
        ",".join(settings.RETELL_WEBHOOK_SECRETS),
        settings.TWILIO_BASE_URL,
        settings.TWILIO_ACCOUNT_SID,
        ",".join(settings.TWILIO_AUTH_TOKENS),
    )
    with _lock:
        if key not in _built:
            _built[key] = import_string({**CONTRACTS, **BESIDE}[contract]).from_settings()
        return _built[key]


def provider_of(name: str, usual: Provider) -> Provider:
    """Who carries a call, by its `provider` column: one that stands beside, else the usual one."""
    return get_provider(name) if name in BESIDE else usual


def carriers(usual: Provider) -> list[Provider]:
    """The usual one, and those beside it that this installation has an account with."""
    beside = [get_provider(name) for name in BESIDE] if settings.TWILIO_ACCOUNT_SID else []
    return [usual, *beside]


def who_can(ability: Ability) -> list[str]:
    """The `provider` columns of calls of which that can be asked."""
    return [name for name in (*PROVIDERS, *BESIDE) if can(ability, name=name)]


def provider_class(name: str = "") -> type[Provider]:
    """Of the contract in force, or of one that stands beside it by this name."""
    path = BESIDE[name] if name in BESIDE else CONTRACTS[settings.RETELL_CONTRACT]
    found: type[Provider] = import_string(path)
    return found


def can(ability: Ability, *, name: str = "") -> bool:
    """Whether the contract in force can do that at all; `abilities.WHY_NOT` says why it cannot.

    `name`: of a call's `provider` column, which may stand beside that contract.
    """
    return ability in provider_class(name).abilities
