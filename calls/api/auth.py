"""Who asks, what the key may do, and how often: `Authorization: Bearer KEY`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from calls.api.keys import find_key, note_use
from calls.models import ApiKey
from calls.models.access import Scope
from calls.models.visibility import SEE_EVERYONES

if TYPE_CHECKING:  # DRF's views import this module through the settings
    from django.contrib.auth.models import User
    from rest_framework.views import APIView


@dataclass(frozen=True, slots=True)
class ApiCaller:
    """`request.user` of an API request: sees what the key's owner sees, or everything without one."""

    key: ApiKey
    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False
    is_active: ClassVar[bool] = True

    @property
    def owner(self) -> User | None:
        return self.key.owner

    @property
    def pk(self) -> int | None:
        return self.key.owner_id

    @property
    def sees_everything(self) -> bool:
        return self.owner is None or self.owner.has_perm(SEE_EVERYONES)

    def has_perm(self, permission: str, obj: Any = None) -> bool:
        return self.owner is None or self.owner.has_perm(permission, obj)

    def __str__(self) -> str:
        return str(self.key)


def caller_of(request: Request) -> ApiCaller:
    """Behind HasScope there is always one."""
    caller: object = request.user
    assert isinstance(caller, ApiCaller)
    return caller


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer KEY` (RFC 6750). No header: nobody; a wrong one: 401."""

    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != b"bearer":
            return None
        if len(parts) != 2:
            raise AuthenticationFailed(_("Write the header as “Authorization: Bearer KEY”."), "malformed_key")
        key = find_key(parts[1].decode("latin-1"))
        if key is None:
            raise AuthenticationFailed(_("This key is not known."), "unknown_key")
        if key.revoked_at is not None:
            raise AuthenticationFailed(_("This key was revoked."), "revoked_key")
        if key.owner is not None and not key.owner.is_active:
            raise AuthenticationFailed(_("The owner of this key may no longer log in."), "inactive_owner")
        note_use(key, now=timezone.now())
        return ApiCaller(key), key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class HasScope(BasePermission):
    """Reading needs `read`, everything else `call`; neither includes the other."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        key = request.auth
        if not isinstance(key, ApiKey):
            return False
        needed = Scope.READ if request.method in SAFE_METHODS else Scope.CALL
        if needed not in key.scopes:
            raise PermissionDenied(
                _("This key lacks the scope “%(scope)s”.") % {"scope": needed}, "scope_missing"
            )
        return True


class KeyThrottle(SimpleRateThrottle):
    """So many requests a second and key, counted in each process by itself."""

    scope = "api_key"
    timer = staticmethod(time.monotonic)  # a clock set back must not shut a key out

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        key = request.auth
        return f"api-throttle-{key.prefix}" if isinstance(key, ApiKey) else None


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema describes the key."""

    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "Made in the admin or by `manage.py create_api_key NAME --scopes read,call`.",
        }
