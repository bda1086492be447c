"""Can calls go out, and can their news come back? Each check, what to do, and who is told when it fails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from agents import sync
from agents.models import Agent, PhoneNumber
from agents.providers.registry import get_provider
from agents.providers.retell import RetellProvider
from agents.providers.retell_article import ArticleProvider
from agents.readiness import Check, Level
from calls import provider_checks
from calls.dialer import account
from calls.dialer.loop import Dialer
from calls.models import ProviderCheck, SignatureRefusal, WebhookEvent
from calls.models.clock import database_now
from calls.provider_checks.reach import knock
from tests import factories

if TYPE_CHECKING:
    from agents.sandbox.server import Sandbox

pytestmark = pytest.mark.django_db
PAGE = "/admin/calling/checks/"
OURS = "https://calls.example.com"


@pytest.fixture(autouse=True)
def _no_other_address(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of our own address ask for the real knock."""
    fine = Check(code="reach", level=Level.GREEN, sentence="It leads here.")
    monkeypatch.setattr("calls.provider_checks.looking.knock", lambda _url: fine)
    # Where no sandbox runs, Twilio is nobody.
    settings.TWILIO_BASE_URL = ""
    cache.clear()


def heard(minutes_ago: float = 1, contract: str = "current") -> None:
    """A webhook with a good signature came."""
    at = timezone.now() - timedelta(minutes=minutes_ago)
    WebhookEvent.objects.create(key="k", body=b"{}", received_at=at, next_try_at=at, contract=contract)


def found(provider: Any = None) -> dict[str, Check]:
    checks = provider_checks.look(provider or get_provider(), now=timezone.now())
    codes = [check.code for check in checks]
    assert codes == [code for code in provider_checks.ORDER if code != "twilio" or code in codes]
    bare = [check for check in checks if check.level == Level.RED and not check.what_to_do]
    assert [check for check in bare if "Check that" not in check.sentence] == []
    return {check.code: check for check in checks}


def retell(answer: Callable[[httpx.Request], httpx.Response]) -> RetellProvider:
    return RetellProvider(
        base_url="https://api.retell.test",
        api_key="key_x",
        webhook_keys=["key_x"],
        transport=httpx.MockTransport(answer),
        ask_deadline_s=0.2,
    )


@pytest.mark.django_db(transaction=True)
def test_a_site_in_good_order_is_green_all_over(
    live_server: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calls.provider_checks.looking.knock", knock)
    sync.sync(get_provider(), now=timezone.now())
    Agent.objects.update(default_caller_id=PhoneNumber.objects.first())
    heard()
    checks = found()
    levels = {code: check.level for code, check in checks.items()}
    # One of the sandbox's agents tells somebody else: it alone may not call.
    assert levels.pop("webhook_url") == Level.AMBER
    assert set(levels.values()) == {Level.GREEN}, checks
    assert live_server.url in checks["reach"].sentence


def test_a_key_that_is_not_accepted_is_red(sandbox: Sandbox, settings: LazySettings) -> None:
    settings.RETELL_API_KEY = "key_of_somebody_else"
    key = found()["key"]
    assert key.level == Level.RED
    assert "RETELL_API_KEY" in key.what_to_do


def test_an_account_without_credit_is_red_though_its_key_is_good(sandbox: Sandbox) -> None:
    account.account_refused("No credit left.", code="billing", now=timezone.now())
    key = found()["key"]
    assert key.level == Level.RED
    assert "No credit left." in key.sentence
    assert "credit" in key.what_to_do


def test_what_nobody_answers_is_not_known_and_not_wrong() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        raise httpx.ConnectError("away")

    asked: list[str] = []
    factories.make_agent()
    checks = found(retell(away))
    assert {checks[code].level for code in ("key", "caller_ids", "capacity")} == {Level.AMBER}
    assert set(asked) == {"/get-api-key-info"}, "nobody is asked twice who does not answer"


def test_a_number_of_ours_that_they_do_not_have_is_red_and_one_of_theirs_is_to_be_synced(
    sandbox: Sandbox,
) -> None:
    check = found()["caller_ids"]
    assert (check.sentence, "Sync" in check.what_to_do) == ("There is no number to call from.", True)
    sync.sync(get_provider(), now=timezone.now())
    PhoneNumber.objects.update(held_back=True)
    check = found()["caller_ids"]
    assert (check.sentence, "rung back in vain" in check.what_to_do) == (
        "There is no number to call from.",
        True,
    )
    PhoneNumber.objects.update(held_back=False)
    PhoneNumber.objects.filter(number="+442079460990").delete()
    check = found()["caller_ids"]
    assert (check.level, "+44 20 7946 0990" in check.sentence, "Sync" in check.what_to_do) == (
        Level.AMBER,
        True,
        True,
    )
    factories.make_number(number="+14155550199")
    check = found()["caller_ids"]
    assert (check.level, "+1 415-555-0199" in check.sentence) == (Level.RED, True)


def test_agents_without_a_number_to_call_from_are_named(sandbox: Sandbox) -> None:
    sync.sync(get_provider(), now=timezone.now())
    factories.make_agent(name="Zora", default_caller_id=None)
    check = found()["caller_ids"]
    assert (check.level, "Zora" in check.sentence) == (Level.AMBER, True)


def test_more_calls_at_once_than_they_take_is_told(
    start_sandbox: Callable[..., Sandbox], settings: LazySettings
) -> None:
    start_sandbox(capacity=5)
    settings.MAX_CONCURRENT_CALLS = 20
    check = found()["capacity"]
    assert check.level == Level.AMBER
    assert "takes 5 at once" in check.sentence
    settings.MAX_CONCURRENT_CALLS = 5
    assert found()["capacity"].level == Level.GREEN


@pytest.mark.parametrize(
    ("off", "level"),
    [(0, Level.GREEN), (-20, Level.GREEN), (60, Level.AMBER), (-60, Level.AMBER), (600, Level.RED)],
)
def test_a_clock_that_is_off_theirs_is_told_before_news_is_turned_away(off: int, level: Level) -> None:
    def dated(_request: httpx.Request) -> httpx.Response:
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=off), usegmt=True)
        return httpx.Response(200, json={"org_id": "org_1"}, headers={"date": date})

    assert found(retell(dated))["clock"].level == level


def test_a_clock_that_is_off_the_databases_is_told(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "calls.provider_checks.looking.database_now", lambda: timezone.now() + timedelta(seconds=9)
    )
    check = found()["clock"]
    assert (check.level, "database" in check.sentence) == (Level.AMBER, True)


def test_their_signature_is_known_to_fit_only_when_something_signed_came(
    sandbox: Sandbox, settings: LazySettings
) -> None:
    assert found()["webhook_key"].level == Level.AMBER
    heard(minutes_ago=60 * 24 * 8)
    assert found()["webhook_key"].level == Level.AMBER
    WebhookEvent.objects.all().delete()
    heard()
    assert found()["webhook_key"].level == Level.GREEN
    settings.RETELL_WEBHOOK_KEYS = []
    assert found()["webhook_key"].level == Level.RED


def test_signatures_of_another_key_are_red(sandbox: Sandbox) -> None:
    SignatureRefusal.objects.create(minute=timezone.now(), cause="wrong", count=5)
    check = found()["webhook_key"]
    assert (check.level, "RETELL_WEBHOOK_KEY" in check.sentence) == (Level.RED, True)


def test_calls_without_any_news_are_red_with_our_address(sandbox: Sandbox) -> None:
    for _nth in range(3):
        factories.make_call("placed", now=timezone.now() - timedelta(minutes=3))
    check = found()["webhook_url"]
    assert (check.level, "/webhook/retell" in check.what_to_do) == (Level.RED, True)


def test_the_articles_contract_is_asked_nothing_and_a_call_that_was_taken_tells(
    settings: LazySettings,
) -> None:
    def never(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"asked {request.url}")

    settings.RETELL_CONTRACT = "article"
    provider = ArticleProvider(
        base_url="https://api.retell.test", api_key="key_x", transport=httpx.MockTransport(never)
    )
    factories.make_agent()
    checks = found(provider)
    levels = {checks[code].level for code in ("key", "webhook_key", "webhook_url", "caller_ids", "capacity")}
    assert levels == {Level.AMBER}
    factories.make_call("placed")
    heard(contract="article")
    checks = found(provider)
    assert {checks[code].level for code in ("key", "webhook_key", "webhook_url")} == {Level.GREEN}
    settings.RETELL_WEBHOOK_SECRETS = []
    assert "RETELL_WEBHOOK_SECRET" in found(provider)["webhook_key"].sentence


class TestTwilio:
    """The sandbox's Twilio has the two London numbers, which reach Retell over a trunk."""

    def check(self) -> Check:
        return found()["twilio"]

    def test_numbers_on_a_trunk_must_be_there_too(self, sandbox: Sandbox) -> None:
        sync.sync(get_provider(), now=timezone.now())
        assert (self.check().level, "all 2" in self.check().sentence) == (Level.GREEN, True)
        factories.make_number(number="+12125550177", line="custom:brightside.pstn.twilio.com")
        check = self.check()
        assert (check.level, "+1 212-555-0177" in check.sentence) == (Level.AMBER, True)

    def test_under_the_articles_contract_all_of_ours_are_twilios(
        self, sandbox: Sandbox, settings: LazySettings
    ) -> None:
        settings.RETELL_CONTRACT = "article"
        settings.TWILIO_FROM_NUMBER = "+12125550177"
        assert "+1 212-555-0177" in self.check().sentence
        settings.TWILIO_FROM_NUMBER = "+442079460990"
        assert self.check().level == Level.GREEN

    def test_credentials_that_are_not_accepted_are_red(
        self, sandbox: Sandbox, settings: LazySettings
    ) -> None:
        settings.TWILIO_AUTH_TOKENS = ["token_of_somebody_else"]
        check = self.check()
        assert (check.level, "TWILIO_AUTH_TOKEN" in check.what_to_do) == (Level.RED, True)
        assert "token_of_somebody_else" not in check.sentence

    def test_without_an_account_it_is_not_asked(self, sandbox: Sandbox, settings: LazySettings) -> None:
        settings.TWILIO_ACCOUNT_SID = ""
        assert "twilio" not in found()
        settings.TWILIO_ACCOUNT_SID = "AC" + "0" * 32
        settings.TWILIO_BASE_URL = ""
        assert "twilio" not in found(), "a desk in the sandbox never asks the real one"


class TestOurAddress:
    def knock(self, answer: Callable[[httpx.Request], httpx.Response], url: str = OURS) -> Check:
        return knock(url, transport=httpx.MockTransport(answer))

    def ours(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/webhook/retell":
            return httpx.Response(200, headers={"allow": "POST, OPTIONS"})
        return httpx.Response(200, headers={provider_checks.ECHO: self.echo(request)})

    def echo(self, request: httpx.Request) -> str:
        return provider_checks.echo(request.headers[provider_checks.ECHO])

    def test_only_who_knows_our_secret_is_us(self) -> None:
        assert self.knock(self.ours).level == Level.GREEN
        somebody = self.knock(lambda _request: httpx.Response(200))
        assert (somebody.level, "Somebody else" in somebody.sentence) == (Level.RED, True)

    @pytest.mark.parametrize("path", ["/health", "/webhook/retell"])
    @pytest.mark.parametrize(
        ("answer", "says"),
        [
            (httpx.Response(301, headers={"location": "https://elsewhere.example/"}), "elsewhere.example"),
            (httpx.Response(403), "answers 403"),
            (httpx.Response(502), "answers 502"),
        ],
    )
    def test_whatever_a_proxy_does_to_either_door_is_told(
        self, path: str, answer: httpx.Response, says: str
    ) -> None:
        check = self.knock(lambda request: answer if request.url.path == path else self.ours(request))
        assert (check.level, says in check.sentence, path in check.sentence) == (Level.RED, True, True)

    def test_nobody_there_is_red_and_amber_while_news_arrives(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nobody(_request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("certificate has expired")

        assert "certificate has expired" in self.knock(nobody).sentence
        monkeypatch.setattr("calls.provider_checks.looking.knock", lambda _url: self.knock(nobody))
        assert found()["reach"].level == Level.RED
        heard()
        assert found()["reach"].level == Level.AMBER

    def test_an_address_that_cannot_be_reached_from_outside_is_red(self, settings: LazySettings) -> None:
        assert "PUBLIC_BASE_URL" in knock("").sentence
        settings.RETELL_BASE_URL = "https://api.retellai.com"
        assert "only this machine" in knock("http://127.0.0.1:8000").sentence
        assert self.knock(self.ours, "http://calls.example.com").level == Level.AMBER

    def test_health_answers_no_word_but_one_of_ours(self, client: Client) -> None:
        assert provider_checks.ECHO not in client.get("/health")
        for word in ("", "x" * 65, "a b", "a:b"):
            assert provider_checks.ECHO not in client.get("/health", headers={provider_checks.ECHO: word})
        told = client.get("/health", headers={provider_checks.ECHO: "abc123"})
        assert told[provider_checks.ECHO] == provider_checks.echo("abc123")
        assert set(told.json()) == {"status", "active_calls", "timestamp"}


def red(sentence: str = "<b>Nothing</b> arrives.") -> list[Check]:
    return [Check(code="reach", level=Level.RED, sentence=sentence, what_to_do="Mend it.")]


def green() -> list[Check]:
    return [Check(code="reach", level=Level.GREEN, sentence="It leads here.")]


def test_one_that_fails_twice_is_told_once_and_taken_back_when_it_passes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = database_now()
    told = []
    for nth, checks in enumerate([green(), red(), red(), red(), red(), green(), green()]):
        provider_checks.keep(checks, now=now + timedelta(minutes=nth))
        told.append(len(provider_checks.failing()))
    assert told == [0, 0, 1, 1, 1, 0, 0]
    said = [
        record.getMessage() for record in caplog.records if "a check of the phone company" in str(record.msg)
    ]
    assert len(said) == 2, said
    assert ProviderCheck.objects.get().since == now + timedelta(minutes=5)


def test_the_next_look_is_in_five_minutes_and_sooner_while_something_fails() -> None:
    now = database_now()
    assert provider_checks.seconds_to_next_look(now=now) == 0
    provider_checks.keep(green(), now=now)
    assert provider_checks.seconds_to_next_look(now=now) == 300
    provider_checks.keep(red(), now=now)
    assert provider_checks.seconds_to_next_look(now=now) == 20
    assert provider_checks.seconds_to_next_look(now=now + timedelta(seconds=21)) == 0


def test_a_dialer_looks_when_it_starts_and_not_again_at_once(sandbox: Sandbox) -> None:
    dialer = Dialer(get_provider())
    assert "check" in {worker.name for worker in dialer._workers()}
    assert dialer.step_check() > 0
    first = ProviderCheck.objects.get(code="key").checked_at
    assert dialer.step_check() > 1
    assert ProviderCheck.objects.get(code="key").checked_at == first


def test_what_fails_is_said_on_every_page_and_managers_are_led_to_what_to_do(
    sales: User, manager: User, client: Client
) -> None:
    now = database_now()
    provider_checks.keep(red(), now=now)
    client.force_login(sales)
    assert "banner-checks" not in client.get("/admin/").content.decode()
    provider_checks.keep(red(), now=now + timedelta(seconds=20))
    for person, led in ((sales, False), (manager, True)):
        cache.clear()
        client.force_login(person)
        page = client.get("/admin/").content.decode()
        assert 'id="banner-checks"' in page
        assert "&lt;b&gt;Nothing&lt;/b&gt; arrives." in page
        assert (f'href="{PAGE}"' in page.split('id="banner-checks"')[1].split("</div>")[0]) is led


def test_the_page_tells_each_check_and_looks_at_once_when_asked(
    sandbox: Sandbox, manager: User, sales: User, client: Client
) -> None:
    client.force_login(sales)
    assert client.get(PAGE).status_code == client.post(PAGE).status_code == 403
    assert not ProviderCheck.objects.exists()
    client.force_login(manager)
    assert "Nobody has looked yet" in client.get(PAGE).content.decode()
    page = client.post(PAGE, follow=True).content.decode()
    for code, title in provider_checks.TITLES.items():
        assert f'id="check-{code}"' in page
        assert str(title) in page
    assert "There is no number to call from." in page


def test_the_command_tells_each_check_and_fails_when_something_is_wrong(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="Numbers to call from"):
        call_command("check_providers")
    told = capsys.readouterr().out
    assert "WRONG  Numbers to call from: There is no number to call from." in told
    assert "ok     Our key:" in told
    sync.sync(get_provider(), now=timezone.now())
    call_command("check_providers")
    assert ProviderCheck.objects.count() == len(provider_checks.ORDER)
