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


def provider_class() -> type[Provider]:
    """Of the contract in force."""
    found: type[Provider] = import_string(CONTRACTS[settings.RETELL_CONTRACT])
    return found


def can(ability: Ability) -> bool:
    """Whether the contract in force can do that at all; `abilities.WHY_NOT` says why it cannot."""
    return ability in provider_class().abilities
