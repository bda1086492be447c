"""One file, environment only. All variables are in `.env.example`; each wrong value is a check with an id."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import environ
from django.templatetags.static import static
from django.utils.csp import CSP
from django.utils.translation import gettext_lazy as _

from callcenter import logs
from callcenter.pool import only_living

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
# Neither a test nor a demo (callcenter/demo) has anything to do with what is set up for real here.
if (BASE_DIR / ".env").is_file() and "pytest" not in sys.modules and "DEMO_HOME" not in os.environ:
    env.read_env(BASE_DIR / ".env")


def text(name: str, default: str = "") -> str:
    """Empty is the same as not given: `.env.example` can be copied as it is."""
    return str(env.str(name, default="")).strip() or default


def several(name: str) -> list[str]:
    """Comma separated; two values while a key is being rotated."""
    return [part.strip() for part in text(name).split(",") if part.strip()]


# A wrong number or truth value must be reported by a check (callcenter/checks.py), not end the start
# with a traceback; so it is remembered here and the default used.
UNREADABLE: dict[str, str] = {}


def number(name: str, default: float) -> float:
    raw = text(name)
    if not raw:
        return default
    try:
        return float(raw)
    except ValueError:
        UNREADABLE[name] = raw
        return default


def truth(name: str, default: bool) -> bool:
    raw = text(name).lower()
    if not raw:
        return default
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw not in {"0", "false", "no", "off"}:
        UNREADABLE[name] = raw
    return False if raw in {"0", "false", "no", "off"} else default


DEBUG = truth("DEBUG", False)
TESTING = "pytest" in sys.modules

# Commands that need no secret (migrate, test, demo, sandbox) run with a key that signs nothing anybody
# could keep; those that do need one are refused by callcenter.E001 (see callcenter/checks.py).
SECRET_KEY_GIVEN = text("SECRET_KEY")
SECRET_KEY = SECRET_KEY_GIVEN or "no-secret-key-given-" + "0" * 40
ALLOWED_HOSTS = several("ALLOWED_HOSTS") or (["localhost", "127.0.0.1", "[::1]"] if DEBUG else [])

PUBLIC_BASE_URL = text("PUBLIC_BASE_URL").rstrip("/")
RETELL_API_KEY = text("RETELL_API_KEY")
RETELL_BASE_URL = text("RETELL_BASE_URL", "https://api.retellai.com").rstrip("/")
RETELL_CONTRACT = text("RETELL_CONTRACT", "current")
RETELL_WEBHOOK_KEYS = several("RETELL_WEBHOOK_KEY") or ([RETELL_API_KEY] if RETELL_API_KEY else [])
RETELL_WEBHOOK_SECRETS = several("RETELL_WEBHOOK_SECRET")
TWILIO_ACCOUNT_SID = text("TWILIO_ACCOUNT_SID")
TWILIO_AUTH_TOKENS = several("TWILIO_AUTH_TOKEN")
TWILIO_SHARED_KEYS = several("TWILIO_SHARED_KEY")
# Empty: Twilio's own addresses, of which there are several (agents/providers/twilio/rest.py).
TWILIO_BASE_URL = text("TWILIO_BASE_URL").rstrip("/")
TWILIO_FROM_NUMBER = text("TWILIO_FROM_NUMBER")
MAX_CONCURRENT_CALLS = int(number("MAX_CONCURRENT_CALLS", 20))
INBOUND_RESERVE_PERCENT = number("INBOUND_RESERVE_PERCENT", 20.0)
CALLS_PER_SECOND = number("CALLS_PER_SECOND", 1.0)
DAILY_CALL_CAP = int(number("DAILY_CALL_CAP", 2000))
CALLING_HOURS = text("CALLING_HOURS", "09:00-20:00")
RULE_PACK = text("RULE_PACK", "none")
PROVIDER_TIMEOUT_S = number("PROVIDER_TIMEOUT_S", 30.0)
COMPANY_NAME = text("COMPANY_NAME", "Your company")
COMPANY_TIME_ZONE = text("COMPANY_TIME_ZONE", "UTC")
DEFAULT_COUNTRY = text("DEFAULT_COUNTRY", "US").upper()
LOG_LEVEL = text("LOG_LEVEL", "INFO").upper()

INSTALLED_APPS = [
    "callcenter.apps.CallCenterConfig",
    "agents",
    "calls",
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "callcenter.apps.DeskAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "phonenumber_field",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_tasks_db",
]

MIDDLEWARE = [
    "callcenter.middleware.PublicDoorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "callcenter.middleware.CompanyTimeMiddleware",
    "callcenter.middleware.ContentSecurityMiddleware",
]

ROOT_URLCONF = "callcenter.urls"
WSGI_APPLICATION = "callcenter.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

DATABASE_URL = text("DATABASE_URL")


def database(url: str) -> dict[str, Any]:
    """SQLite: WAL and IMMEDIATE, since deferred writers lose to each other; FULL, since 2xx means on disk.

    PostgreSQL: a pool whose connections are checked when lent (a database restart is survived), and
    a frozen process loses its transaction after 3 s instead of stopping everybody.
    """
    config: dict[str, Any] = dict(env.db_url_config(url))
    if config["ENGINE"] == "django.db.backends.sqlite3":
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
        }
        config["CONN_MAX_AGE"] = None
        return config
    # A migration may think for longer between two statements, and freezes nobody's dialer.
    idle_ms = 0 if "migrate" in sys.argv else 3000
    config.setdefault("OPTIONS", {}).update(
        {
            "options": f"-c idle_in_transaction_session_timeout={idle_ms}"
            # Days by agent of a quarter's calls are hashed in memory, not sorted on disk: half the time.
            " -c lock_timeout=5000 -c work_mem=16MB -c TimeZone=UTC",
            "application_name": "callcenter",
            # Its own pauses between attempts double up to minutes; a database that is back is used at once.
            "pool": {
                "min_size": 0,
                "max_size": 12,
                "timeout": 10,
                "reconnect_timeout": 2,
                "check": only_living,
            },
        }
    )
    config["CONN_HEALTH_CHECKS"] = True
    return config


DATABASES = {"default": database(DATABASE_URL or f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
LISTEN_DATABASE_URL = text("LISTEN_DATABASE_URL")
LISTEN_DATABASE: dict[str, Any] = dict(env.db_url_config(LISTEN_DATABASE_URL)) if LISTEN_DATABASE_URL else {}
# Covering columns are for PostgreSQL; SQLite leaves them out, which costs the demo nothing.
SILENCED_SYSTEM_CHECKS = ["models.W040"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

RECORDINGS = text("RECORDINGS", "stream")
# Said to whoever is called without AI before they are connected. "none": nothing is said nor recorded.
RECORDING_NOTICE = text("RECORDING_NOTICE", "This call is recorded.")
RECORDING_NOTICE = "" if RECORDING_NOTICE.lower() == "none" else RECORDING_NOTICE
CELERY_BROKER_URL = text("CELERY_BROKER_URL")
CELERY_INSTALLED = find_spec("celery") is not None
# Where Celery is asked for and missing, a check says so; the database takes the jobs meanwhile.
TASKS = {
    "default": {
        "BACKEND": "callcenter.celery_backend.CeleryBackend"
        if CELERY_BROKER_URL and CELERY_INSTALLED
        else "django_tasks_db.DatabaseBackend"
    }
}

LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English"))]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = Path(text("STATIC_ROOT", str(BASE_DIR / "staticfiles")))
MEDIA_ROOT = Path(text("MEDIA_ROOT", str(BASE_DIR / "media")))
MANIFEST = not DEBUG and not TESTING
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if MANIFEST
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not MANIFEST

# Over plain http only on loopback (the demo) or in DEBUG: PUBLIC_BASE_URL says which.
HTTPS = PUBLIC_BASE_URL.startswith("https://")
SECURE_SSL_REDIRECT = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
CSRF_TRUSTED_ORIGINS = [PUBLIC_BASE_URL] if PUBLIC_BASE_URL else []
X_FRAME_OPTIONS = "DENY"
APPEND_SLASH = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 12 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 12 * 1024 * 1024

SECURE_CSP: dict[str, list[str]] = {
    "default-src": [CSP.SELF],
    "object-src": [CSP.NONE],
    "base-uri": [CSP.SELF],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
    "img-src": [CSP.SELF, "data:"],
    "style-src": [CSP.SELF],
    "script-src": [CSP.SELF],
}
# The admin's theme evaluates its own attributes (Alpine) and sets colours inline: measured to need
# exactly these two, which is why no data may ever become an attribute or unescaped text.
ADMIN_CSP: dict[str, list[str]] = {
    **SECURE_CSP,
    "script-src": [CSP.SELF, CSP.UNSAFE_EVAL],
    "style-src": [CSP.SELF, CSP.UNSAFE_INLINE],
    "media-src": [CSP.SELF],
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["calls.api.auth.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["calls.api.auth.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["calls.api.parsers.BoundedJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_THROTTLE_CLASSES": ["calls.api.auth.KeyThrottle"],
    "DEFAULT_THROTTLE_RATES": {"api_key": "200/second"},
    "EXCEPTION_HANDLER": "calls.api.problems.problem_response",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Call centre API",
    "DESCRIPTION": "Leads, calls, agents and do-not-call for other systems.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "defaultModelsExpandDepth": -1},
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "OAS_VERSION": "3.1.0",
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "calls.api.schema.complete"],
    "ENUM_NAME_OVERRIDES": {
        "CallStatus": "calls.models.CallStatus",
        "LeadStatus": "calls.models.LeadStatus",
        "Direction": "calls.models.Direction",
        "Outcome": "calls.models.Outcome",
        "AnsweredBy": "calls.models.AnsweredBy",
        "Disposition": "calls.models.Disposition",
        "Sentiment": "calls.models.Sentiment",
        "NextAction": "calls.models.NextAction",
        "PhoneState": "calls.models.PhoneState",
        "EventSource": "calls.models.webhook_event.EventSource",
        "DoNotCallSource": "calls.models.do_not_call.DoNotCallSource",
        "PhoneKind": "calls.models.lead.PhoneKind",
    },
}


def _desk_file(name: str) -> Callable[[Any], str]:
    return lambda request: static(f"callcenter/{name}")


# The desk's look. `calls.admin` fills the front page and the banners; callcenter/admin_site.py the rest.
UNFOLD: dict[str, Any] = {
    "SITE_TITLE": _("Call Centre"),
    "SITE_HEADER": _("Call Centre"),
    "SITE_SUBHEADER": lambda request: COMPANY_NAME,
    "SITE_URL": None,
    "SITE_ICON": _desk_file("icon.svg"),
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "sizes": "any", "href": _desk_file("icon.svg")}
    ],
    "STYLES": [_desk_file("desk.css")],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT": "callcenter.admin_site.environment",
    "DASHBOARD_CALLBACK": "calls.admin.dashboard.front_page",
    "GLOBAL_CALLBACK": "calls.admin.banners.on_every_page",
    "BORDER_RADIUS": "8px",
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "callcenter.admin_site.navigation",
    },
    "COMMAND": {"search_models": ["calls.lead", "agents.agent"]},
    # Every text step keeps 4.5:1 on the steps it is used on, in light and in dark.
    "COLORS": {
        "base": {
            "50": "oklch(98.4% .003 200)",
            "100": "oklch(96.6% .005 200)",
            "200": "oklch(92.4% .008 205)",
            "300": "oklch(86.8% .012 208)",
            "400": "oklch(72.5% .018 212)",
            "500": "oklch(52.5% .022 215)",
            "600": "oklch(44% .024 218)",
            "700": "oklch(36.5% .026 220)",
            "800": "oklch(27% .025 222)",
            "900": "oklch(20.5% .023 224)",
            "950": "oklch(14% .02 226)",
        },
        "primary": {
            "50": "oklch(97.8% .014 187)",
            "100": "oklch(94.6% .036 187)",
            "200": "oklch(89.5% .064 187)",
            "300": "oklch(83.5% .092 187)",
            "400": "oklch(77% .107 187)",
            "500": "oklch(69.5% .108 187)",
            "600": "oklch(49.5% .083 187)",
            "700": "oklch(43.5% .074 187)",
            "800": "oklch(37.5% .062 188)",
            "900": "oklch(32% .05 189)",
            "950": "oklch(22.5% .036 190)",
        },
    },
}

PHONENUMBER_DEFAULT_REGION = DEFAULT_COUNTRY
PHONENUMBER_DB_FORMAT = "E164"

IMPORT_EXPORT_USE_TRANSACTIONS = False

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "structlog.stdlib.ProcessorFormatter",
            "processor": logs.render,
            "foreign_pre_chain": logs.FOREIGN,
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {
        "handlers": ["stderr"],
        "level": LOG_LEVEL if LOG_LEVEL in {"DEBUG", "INFO", "WARNING", "ERROR"} else "INFO",
    },
    "loggers": {"httpx": {"level": "WARNING"}, "httpcore": {"level": "WARNING"}},
}
