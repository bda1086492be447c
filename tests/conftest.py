"""What every test may ask for: people, a telephone network, a browser.

The database is the one of DATABASE_URL; without it a SQLite file in a temporary directory. Rows that
migrations made (groups) are there in every test, also after one that committed.
"""

from __future__ import annotations

import gc
import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from django.conf import LazySettings, settings
from django.contrib.auth.models import Group, User
from django.db import connection, connections
from django.test import Client, TransactionTestCase

from tests import raw_server
from tests.database import AsMigrated

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from agents.sandbox.server import Sandbox

# Playwright keeps an event loop in the main thread, which Django would take for asynchronous code.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

API_KEY = "key_test_0123456789abcdef"
WEBHOOK_SECRET = "secret_test_0123456789abcdef"
TWILIO_SID = "AC" + "0123456789abcdef" * 2
TWILIO_TOKEN = "token_test_0123456789abcdef"
PASSWORD = "correct horse battery"
NEVER_TOO_IDLE = " -c idle_in_transaction_session_timeout=0"
NOBODY_THERE = "http://127.0.0.1:9"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def pytest_configure(config: pytest.Config) -> None:
    """Whatever the environment says, no test speaks to a real provider."""
    settings.RETELL_API_KEY = API_KEY
    settings.RETELL_WEBHOOK_KEYS = [API_KEY]
    settings.RETELL_WEBHOOK_SECRETS = [WEBHOOK_SECRET]
    settings.RETELL_BASE_URL = NOBODY_THERE
    settings.TWILIO_ACCOUNT_SID = TWILIO_SID
    settings.TWILIO_AUTH_TOKENS = [TWILIO_TOKEN]
    settings.TWILIO_SHARED_KEYS = []
    settings.TWILIO_BASE_URL = NOBODY_THERE
    settings.PUBLIC_BASE_URL = "http://testserver"
    # Each test's client would read all static files anew.
    settings.WHITENOISE_AUTOREFRESH = True
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # How fast a test runs says how busy the machine is, and nothing about what it tests.
    hypothesis.settings.register_profile(
        "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("any machine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What only PostgreSQL does (marked `postgresql`) is not tried on SQLite."""
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        _leave_out([item for item in items if item.get_closest_marker("postgresql")], config, items)
    # Where a browser was started an event loop goes on running, which tests after it would stumble over.
    if unmarked := [
        item.nodeid for item in items if item.path.parent.name == "browser" and not _drives(item)
    ]:
        raise pytest.UsageError(f"not marked as driving a browser: {', '.join(unmarked)}")
    if os.environ.get("EACH_ENGINE"):
        _leave_out([item for item in items if not _may_differ_by_engine(item)], config, items)
    if half := os.environ.get("HALF"):
        _leave_out([item for item in items if not _of_half(item, half)], config, items)


def _leave_out(these: list[pytest.Item], config: pytest.Config, items: list[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=these)
    gone = set(these)
    items[:] = [item for item in items if item not in gone]


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was imported stays to the end: looking through it again and again for garbage took a fifth of the
    processor time of a run.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _drives(item: pytest.Item) -> bool:
    return item.get_closest_marker("browser") is not None


def _may_differ_by_engine(item: pytest.Item) -> bool:
    """What asks no database says the same on every engine: the gate runs it once."""
    if item.get_closest_marker("one_engine"):
        return False
    fixtures = {"db", "transactional_db", "live_server"} & set(getattr(item, "fixturenames", ()))
    return bool(fixtures) or item.get_closest_marker("django_db") is not None


def _of_half(item: pytest.Item, half: str) -> bool:
    """`pages and races`: what draws people's pages, commits (threads, processes, servers) or takes long.
    `rules`: all else. What only PostgreSQL does is of both, unless it takes long.
    """
    isolation = item.get_closest_marker("django_db")
    commits = isolation is not None and isolation.kwargs.get("transaction", False)
    fixtures = {"sign_in", "transactional_db", "live_server"} & set(getattr(item, "fixturenames", ()))
    takes_long = item.get_closest_marker("long") is not None
    of_both = item.get_closest_marker("postgresql") is not None and not takes_long
    return of_both or bool(commits or fixtures or takes_long) == (half == "pages and races")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    tmp_path_factory: pytest.TempPathFactory, django_db_modify_db_settings_parallel_suffix: None
) -> None:
    """SQLite: a file, as in production, since threads and processes must share it."""
    database: dict[str, Any] = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database.setdefault("TEST", {})["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
    else:
        database["OPTIONS"]["options"] += NEVER_TOO_IDLE


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """A busy machine may think for seconds within one migration; the tests run under our limits."""
    with django_db_blocker.unblock():
        if connection.vendor == "postgresql":
            options = connection.settings_dict["OPTIONS"]
            options["options"] = options["options"].removesuffix(NEVER_TOO_IDLE)
            connection.close()
            connection.close_pool()
        as_migrated = AsMigrated()

    def bring_back(_case: TransactionTestCase) -> None:
        as_migrated.bring_back()

    TransactionTestCase._fixture_teardown = bring_back


@pytest.fixture(autouse=True)
def _patience(request: pytest.FixtureRequest) -> None:
    """Production ends a transaction idle for 3 s; the one that is a test's isolation may take longer."""
    if "_django_db_helper" not in request.fixturenames:
        return
    request.getfixturevalue("_django_db_helper")
    if connection.vendor == "postgresql" and connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")


@pytest.fixture(autouse=True)
def _refusals_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread writes them down, which knows nothing of the transaction that isolates a test."""
    monkeypatch.setattr("calls.webhooks.refusals.FLUSH_EVERY_S", math.inf)


@pytest.fixture
def postgresql(db: None) -> None:
    """For a test of what only PostgreSQL does (marked `postgresql` too)."""
    assert connection.vendor == "postgresql"


def make_person(username: str, group: str, **fields: Any) -> User:
    person = User.objects.create_user(username, password=PASSWORD, is_staff=True, **fields)
    person.groups.add(Group.objects.get(name=group))
    return person


@pytest.fixture
def sales(db: None) -> User:
    return make_person("ana", "Sales", first_name="Ana")


@pytest.fixture
def manager(db: None) -> User:
    return make_person("mona", "Managers", first_name="Mona")


@pytest.fixture
def administrator(db: None) -> User:
    return make_person("ivo", "Administrators", first_name="Ivo")


@pytest.fixture
def sign_in(client: Client) -> Callable[[User], Client]:
    """`sign_in(sales)` returns a client that is that person."""

    def as_person(person: User) -> Client:
        client.force_login(person)
        return client

    return as_person


@pytest.fixture
def around_the_clock(settings: LazySettings) -> None:
    """For tests that dial at whatever hour they are run."""
    settings.CALLING_HOURS = "00:00-24:00"


@pytest.fixture
def start_sandbox(request: pytest.FixtureRequest, settings: LazySettings) -> Iterator[Callable[..., Sandbox]]:
    """Starts a telephone network that our settings then point at; takes what `Sandbox` takes.

    With `live_server` asked for before, its webhooks arrive there; else they go nowhere.
    """
    from agents.sandbox.server import Sandbox

    running: list[Sandbox] = []

    def start(**options: Any) -> Sandbox:
        if "live_server" in request.fixturenames:
            server = request.getfixturevalue("live_server")
            settings.PUBLIC_BASE_URL = server.url
            options.setdefault("webhook_url", f"{server.url}/webhook/retell")
        usual = {
            "api_key": API_KEY,
            "webhook_secret": WEBHOOK_SECRET,
            "twilio_sid": TWILIO_SID,
            "twilio_token": TWILIO_TOKEN,
            "speed": 20.0,
        }
        sandbox = Sandbox(**{**usual, "contract": settings.RETELL_CONTRACT, **options}).start()
        running.append(sandbox)
        settings.RETELL_BASE_URL = settings.TWILIO_BASE_URL = sandbox.url
        return sandbox

    yield start
    for sandbox in running:
        sandbox.stop()


@pytest.fixture
def sandbox(start_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """A telephone network with nothing special about it, twenty times as fast as life."""
    return start_sandbox()


@pytest.fixture
def serve() -> Iterator[Callable[[raw_server.Handler], raw_server.Server]]:
    servers: list[raw_server.Server] = []

    def start(handler: raw_server.Handler) -> raw_server.Server:
        servers.append(raw_server.Server(handler))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def _chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome"):
        if found := shutil.which(name):
            return found
    why = "no Chromium on this machine (Debian: apt install chromium)"
    if in_ci():
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    executable = _chromium()
    # Where an event loop runs, as from now on, Django would open connections of its own and forget
    # what it knows of the test database: the ones of this thread are handed on.
    ours = {alias: connections[alias] for alias in connections}
    with sync_playwright() as playwright:
        for alias, same in ours.items():
            connections[alias] = same
        started = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser, live_server: Any) -> Iterator[Callable[..., Page]]:
    """`open_page(sales)` is a window of our site with that person signed in; None: nobody.

    Takes what Playwright's `new_context` takes, such as `color_scheme="dark"` or `viewport`. An error
    on the page's console fails the test.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def opened(person: User | None = None, **options: Any) -> Page:
        options = {"base_url": live_server.url, "viewport": {"width": 1280, "height": 900}, **options}
        context = browser.new_context(**options)
        context.set_default_timeout(15_000)
        contexts.append(context)
        if person is not None:
            client = Client()
            client.force_login(person)
            session = client.cookies[settings.SESSION_COOKIE_NAME].value
            context.add_cookies(
                [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
            )
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints, complaints


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """A window with nobody signed in."""
    return open_page()


@pytest.fixture
def axe() -> Callable[..., None]:
    """`axe(page)` fails with what axe finds: rule, sentence, and the elements."""
    from axe_playwright_python.sync_playwright import Axe

    def check(page: Page, context: str | None = None) -> None:
        found = Axe().run(page, context=context).response["violations"]
        told = [
            f"{violation['id']}: {violation['help']}\n    "
            + "\n    ".join(
                " ".join(node["target"]) + "  " + node["html"][:160] for node in violation["nodes"]
            )
            for violation in found
        ]
        assert not told, "\n".join(told)

    return check


@pytest.fixture
def pictures() -> Path | None:
    """Where a test may leave screenshots: the folder of TEST_PICTURES, else None."""
    folder = os.environ.get("TEST_PICTURES")
    if not folder:
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)
