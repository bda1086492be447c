"""Files of leads: read, looked at first, merged without loss, continued after a kill."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from openpyxl import Workbook

from calls import people
from calls.models import CallStatus, DoNotCall, Lead, LeadImport, LeadList, LeadPhone, PhoneState
from calls.models.imports import ImportState
from calls.people import imports
from tests.factories import fiction_number, make_call, make_lead, make_opt_out

pytestmark = pytest.mark.django_db

SignIn = Callable[[User], Client]
ADD = "/admin/calls/leadimport/add/"


def file_of(*lines: str, name: str = "leads.csv", encoding: str = "utf-8") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, "\n".join(lines).encode(encoding))


def upload(client: Client, file: SimpleUploadedFile, **fields: Any) -> LeadImport:
    answer = client.post(ADD, {"file": file, "country": "US", **fields})
    assert answer.status_code == 302, answer.content.decode()
    return LeadImport.objects.latest("pk")


def path_of(job: LeadImport) -> str:
    return f"/admin/calls/leadimport/{job.pk}/change/"


def confirm(client: Client, job: LeadImport, **fields: Any) -> LeadImport:
    posted = {
        "country": job.country,
        "owner": job.owner_id or "",
        "list": job.list_id or "",
        "confirm": "1",
        **fields,
    }
    client.post(path_of(job), posted)
    job.refresh_from_db()
    return job


def bring(client: Client, *lines: str, **fields: Any) -> LeadImport:
    return confirm(client, upload(client, file_of(*lines), **fields))


def reasons(job: LeadImport) -> dict[int, str]:
    return {entry["row"]: entry["reason"] for entry in job.refused}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_csv_is_read_whatever_its_signs_and_letters(delimiter: str, encoding: str) -> None:
    text = f"Name{delimiter}Phone\nZoë Müller{delimiter}(415) 555-0101\n"
    table = people.read_table(text.encode(encoding), "x.csv")
    assert table.header == ("Name", "Phone")
    assert table.rows == [(2, ("Zoë Müller", "(415) 555-0101"))]


def test_excels_own_first_line_names_the_delimiter() -> None:
    assert people.read_table(b"sep=;\nName;Phone\nAda, the first;1", "x.csv").rows == [
        (2, ("Ada, the first", "1"))
    ]


def xlsx(*rows: Sequence[object]) -> bytes:
    book = Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(list(row))
    kept = io.BytesIO()
    book.save(kept)
    return kept.getvalue()


def test_a_number_kept_as_a_number_in_a_workbook_comes_back_whole() -> None:
    table = people.read_table(
        xlsx(["Name", "Phone"], ["Ada", 14155550101], ["Grace", 14155550102.0], [None, None]), "x.xlsx"
    )
    assert [cells[1] for _number, cells in table.rows] == ["14155550101", "14155550102"]


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"", "x.csv", "empty"),
        (b"PK\x03\x04 not a workbook", "x.xlsx", "not a readable XLSX"),
        (b"\xd0\xcf\x11\xe0", "x.xls", "cannot be read"),
        (b"\x00\x01\x02", "x.csv", "not a text file"),
        (b"Name,Phone\n", "x.csv", "no rows"),
    ],
)
def test_a_file_that_is_no_table_says_so(
    sign_in: SignIn, sales: User, content: bytes, name: str, words: str
) -> None:
    answer = sign_in(sales).post(ADD, {"file": SimpleUploadedFile(name, content), "country": "US"})
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert not LeadImport.objects.exists()


def test_nothing_is_imported_before_it_is_confirmed(sign_in: SignIn, sales: User) -> None:
    make_lead("+14155550101", name="Ada", owner=sales)
    client = sign_in(sales)
    job = upload(client, file_of("Name,Phone", "Ada,4155550101", "Grace,4155550102", "Bad,4.15556E+10"))
    answer = client.get(path_of(job))
    preview = answer.context["preview"]
    assert (preview.new, preview.updated, len(preview.refused)) == (1, 1, 1)
    page = answer.content.decode()
    assert "A spreadsheet has damaged this number (4.15556E+10)" in page
    assert Lead.objects.count() == 1


def test_columns_are_guessed_and_can_be_chosen_otherwise(sign_in: SignIn, sales: User) -> None:
    client = sign_in(sales)
    job = upload(client, file_of("Wer,Handy,Plan", "Ada,4155550101,Premium"))
    assert job.columns == {"Wer": "custom", "Handy": "phone", "Plan": "custom"}
    assert "Say which column holds the name." in client.get(path_of(job)).content.decode()
    confirm(client, job)
    assert not Lead.objects.exists()
    confirm(client, job, column_0="name")
    lead = Lead.objects.get()
    assert (lead.name, lead.custom) == ("Ada", {"Plan": "Premium"})


def test_a_field_chosen_twice_is_refused(sign_in: SignIn, sales: User) -> None:
    client = sign_in(sales)
    job = upload(client, file_of("Name,Phone,Other", "Ada,4155550101,Grace"))
    page = client.post(path_of(job), {"country": "US", "column_2": "name"}, follow=True).content.decode()
    assert "was chosen for two columns" in page


def test_new_leads_get_list_owner_and_clean_numbers(sign_in: SignIn, sales: User) -> None:
    client = sign_in(sales)
    job = bring(
        client,
        "First name,Last name,Company,Mobile,Phone 2,E-mail,Time zone,ID,Reason",
        "Ada,Lovelace,Engines,(415) 555-0101,+44 20 7946 0001,ada@example.com,europe/london,crm-1,A quote",
        new_list="Fair",
        owner=sales.pk,
    )
    assert (job.state, job.created, job.updated, job.refused_rows) == (ImportState.DONE, 1, 0, 0)
    lead = Lead.objects.get()
    assert (lead.name, lead.company, lead.email) == ("Ada Lovelace", "Engines", "ada@example.com")
    assert (lead.time_zone, lead.external_id, lead.reason) == ("Europe/London", "crm-1", "A quote")
    assert (lead.list, lead.owner) == (LeadList.objects.get(name="Fair"), sales)
    assert [row.number for row in lead.phones.all()] == ["+14155550101", "+442079460001"]


def test_every_refused_row_has_its_reason(sign_in: SignIn, sales: User) -> None:
    job = bring(
        sign_in(sales),
        "Name,Phone,Email,Time zone,DNC",
        "Good,4155550101,,,",
        "Damaged,4.15556E+10,,,",
        "Unreadable,call me,,,",
        "Short,12,,,",
        ",4155550102,,,",
        "Again,(415) 555-0101,,,",
        "Zone,4155550103,,Mars/Base,",
        "Mail,4155550104,not-an-address,,",
        "Maybe,4155550105,,,perhaps",
        "Wide,4155550106,,,,more",
    )
    assert (job.created, job.refused_rows) == (1, 9)
    told = reasons(job)
    assert "damaged" in told[3]
    assert "is not a phone number" in told[4]
    assert "wrong number of digits" in told[5]
    assert told[6] == "There is no name."
    assert told[7] == "The same number is in row 2 already."
    assert "“Mars/Base” is not a time zone" in told[8]
    assert "not an e-mail address" in told[9]
    assert "neither yes nor no" in told[10]
    assert "more cells" in told[11]


def test_the_file_of_refused_rows_can_be_corrected_and_brought_again(sign_in: SignIn, sales: User) -> None:
    client = sign_in(sales)
    job = bring(client, "Name,Phone", '"=SUM(A1)",12', "Ada,4155550101")
    text = b"".join(client.get(f"/admin/calls/leadimport/{job.pk}/refused/").streaming_content).decode(
        "utf-8-sig"
    )  # type: ignore[attr-defined]
    assert list(csv.DictReader(io.StringIO(text))) == [
        {
            "row in the file": "2",
            "Name": "'=SUM(A1)",
            "Phone": "12",
            "why refused": "“12” has the wrong number of digits.",
        }
    ]
    again = bring(client, *text.replace(",12,", ",4155550102,").splitlines())
    assert (again.created, again.refused_rows) == (1, 0)
    assert Lead.objects.get(phones__number="+14155550102").custom == {}


def test_an_existing_lead_is_changed_only_where_the_file_has_a_value(sign_in: SignIn, sales: User) -> None:
    fair = LeadList.objects.create(name="Fair")
    lead = make_lead(
        "+14155550101",
        name="Ada",
        company="Engines",
        email="ada@example.com",
        owner=sales,
        list=fair,
        status="interested",
        custom={"plan": "Basic", "seat": "4"},
    )
    job = bring(
        sign_in(sales), "Name,Phone,Company,Email,plan", "Ada L,4155550101,,,Premium", new_list="Other"
    )
    assert (job.created, job.updated) == (0, 1)
    lead.refresh_from_db()
    assert (lead.name, lead.company, lead.email) == ("Ada L", "Engines", "ada@example.com")
    assert lead.custom == {"plan": "Premium", "seat": "4"}
    assert (lead.list, lead.status) == (fair, "interested")


def test_the_id_counts_before_the_number_and_a_new_number_is_dialled_first(
    sign_in: SignIn, sales: User
) -> None:
    lead = make_lead("+14155550101", external_id="crm-1", owner=sales)
    other = make_lead("+14155550102", name="Other", external_id="crm-2", owner=sales)
    bring(sign_in(sales), "Name,Phone,ID", "Ada,4155550109,crm-1", "New,4155550102,crm-3")
    assert [row.number for row in lead.phones.all()] == ["+14155550109", "+14155550101"]
    assert Lead.objects.filter(phones__number="+14155550102").count() == 2
    other.refresh_from_db()
    assert other.name == "Other"


def test_a_wrong_number_stays_wrong_and_do_not_call_stays_do_not_call(sign_in: SignIn, sales: User) -> None:
    lead = make_lead("+14155550101", owner=sales)
    LeadPhone.objects.filter(lead=lead).update(state=PhoneState.WRONG)
    make_opt_out("+14155550101")
    bring(sign_in(sales), "Name,Phone,DNC", "Ada,4155550101,no")
    assert lead.phones.get().state == PhoneState.WRONG
    assert DoNotCall.objects.in_force().filter(number="+14155550101").count() == 1


def test_do_not_call_yes_opts_out_and_cancels_what_waits(sign_in: SignIn, sales: User) -> None:
    lead = make_lead("+14155550101", owner=sales)
    waiting = make_call(lead=lead)
    job = bring(
        sign_in(sales), "Name,Phone,Do not call", "Ada,4155550101,yes", ",4155550102,x", ",nonsense,yes"
    )
    assert {entry.number for entry in DoNotCall.objects.in_force()} == {"+14155550101", "+14155550102"}
    entry = DoNotCall.objects.get(number="+14155550101")
    assert (entry.source, entry.created_by) == ("import", sales)
    waiting.refresh_from_db()
    assert waiting.status == CallStatus.ENDED
    assert Lead.objects.count() == 1
    assert list(reasons(job)) == [4]


def test_an_opt_out_holds_even_when_the_rest_of_its_row_is_refused(sign_in: SignIn, sales: User) -> None:
    bring(
        sign_in(sales), "Name,Phone,Zone,Time zone,DNC", "Ada,4155550101,,Mars/Base,yes", "Ok,4155550102,,,"
    )
    assert DoNotCall.objects.in_force().filter(number="+14155550101").exists()


def test_somebody_elses_lead_is_not_touched(sign_in: SignIn, sales: User, manager: User) -> None:
    theirs = make_lead("+14155550101", name="Theirs", owner=manager)
    job = bring(sign_in(sales), "Name,Phone", "Mine now,4155550101", "New,4155550102")
    assert reasons(job) == {2: "This lead belongs to somebody else."}
    theirs.refresh_from_db()
    assert theirs.name == "Theirs"
    assert Lead.objects.count() == 2


def test_the_same_file_twice_adds_nobody_twice(sign_in: SignIn, sales: User) -> None:
    client = sign_in(sales)
    lines = ("Name,Phone", "Ada,4155550101", "Grace,4155550102")
    bring(client, *lines)
    job = bring(client, *lines)
    assert (job.created, job.updated) == (0, 2)
    assert (Lead.objects.count(), LeadPhone.objects.count()) == (2, 2)


def test_hostile_headings_and_cells_stay_text(sign_in: SignIn, sales: User) -> None:
    client = sign_in(sales)
    job = upload(
        client,
        file_of(
            'Name,Phone,"<script>alert(1)</script>",items,values',
            '"<img src=x onerror=alert(2)>",4155550101,"x-data",a,b',
            "Bad,12,<b>,c,d",
        ),
    )
    for page in (client.get(path_of(job)), client.get(path_of(confirm(client, job)))):
        text = page.content.decode()
        assert page.status_code == 200
        assert "<script>alert(1)" not in text
        assert "<img src=x" not in text
    assert Lead.objects.get().custom == {"<script>alert(1)</script>": "x-data", "items": "a", "values": "b"}


def big_job(sales: User, rows: int) -> LeadImport:
    lines = ["Name,Phone,ID", *(f"Lead {nth},{fiction_number(nth)},crm-{nth}" for nth in range(rows))]
    content = "\n".join(lines).encode()
    table = people.read_table(content, "big.csv")
    return LeadImport.objects.create(
        created_by=sales,
        file_name="big.csv",
        content=content,
        columns=people.guess_columns(table.header),
        country="US",
        rows=rows,
    )


def test_a_large_file_goes_to_a_worker(
    sign_in: SignIn, sales: User, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    from django_tasks_db.models import DBTaskResult

    monkeypatch.setattr(people, "IN_REQUEST", 5)
    job = big_job(sales, 20)
    client = sign_in(sales)
    with django_capture_on_commit_callbacks(execute=True):
        confirm(client, job)
    assert (job.state, job.row) == (ImportState.CONFIRMED, 0)
    assert DBTaskResult.objects.get().args_kwargs["args"] == [job.pk]
    page = client.get(path_of(job)).content.decode()
    assert "hx-get" in page
    people.run(job.pk, now=timezone.now())
    job.refresh_from_db()
    assert (job.state, job.row, job.created) == (ImportState.DONE, 20, 20)


def test_a_killed_worker_is_followed_by_one_that_goes_on(
    sales: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "BUNCH", 5)
    job = big_job(sales, 20)
    people.confirm(job)
    written = imports._write_bunch

    def dies(job: LeadImport, *args: Any, **kwargs: Any) -> None:
        if job.row == 10:
            raise KeyboardInterrupt
        written(job, *args, **kwargs)

    monkeypatch.setattr(imports, "_write_bunch", dies)
    with pytest.raises(KeyboardInterrupt):
        people.run(job.pk, now=timezone.now())
    monkeypatch.setattr(imports, "_write_bunch", written)
    job.refresh_from_db()
    assert (job.state, job.row, Lead.objects.count()) == (ImportState.RUNNING, 10, 10)
    people.run(job.pk, now=timezone.now())
    job.refresh_from_db()
    assert job.row == 10, "its lease still runs: another worker keeps off"
    assert people.stalled() == []
    LeadImport.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert people.stalled() == [job.pk]
    people.run(job.pk, now=timezone.now())
    job.refresh_from_db()
    assert (job.state, job.created, job.updated, Lead.objects.count()) == (ImportState.DONE, 20, 0, 20)


def test_a_worker_that_was_overtaken_writes_nothing(sales: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "BUNCH", 5)
    job = big_job(sales, 10)
    people.confirm(job)
    planned = imports.merge.plan

    def overtaken(rows: Any, *, by: Any) -> Any:
        LeadImport.objects.filter(pk=job.pk).update(row=5)
        return planned(rows, by=by)

    monkeypatch.setattr(imports.merge, "plan", overtaken)
    people.run(job.pk, now=timezone.now())
    assert Lead.objects.count() == 0


def test_confirming_twice_imports_once(sign_in: SignIn, sales: User) -> None:
    client = sign_in(sales)
    job = upload(client, file_of("Name,Phone", "Ada,4155550101"))
    confirm(client, job)
    confirm(client, job)
    assert Lead.objects.count() == 1
    assert people.confirm(job) is False


def test_a_salesperson_gives_leads_to_nobody_but_themselves(
    sign_in: SignIn, sales: User, manager: User
) -> None:
    answer = sign_in(sales).post(
        ADD, {"file": file_of("Name,Phone", "Ada,4155550101"), "country": "US", "owner": manager.pk}
    )
    assert answer.status_code == 200
    assert not LeadImport.objects.exists()


def test_imports_are_ones_own_and_need_the_permission(sign_in: SignIn, sales: User, manager: User) -> None:
    job = big_job(manager, 1)
    client = sign_in(sales)
    assert client.get(path_of(job)).status_code == 404
    assert client.get(f"/admin/calls/leadimport/{job.pk}/refused/").status_code == 404
    onlooker = User.objects.create_user("nils", is_staff=True)
    assert sign_in(onlooker).get(ADD).status_code == 403


def test_a_bunch_that_took_long_is_followed_by_a_smaller_one_and_quick_ones_grow_again() -> None:
    assert imports.next_bunch(100, took_s=0.69) == 14
    assert imports.next_bunch(48, took_s=0.12) == 24
    assert imports.next_bunch(14, took_s=5.0) == imports.FEWEST
    assert imports.next_bunch(14, took_s=0.05) == 14
    assert imports.next_bunch(14, took_s=0.01) == 28
    assert imports.next_bunch(40, took_s=0.01) == imports.BUNCH


def test_on_a_slow_database_an_import_writes_in_small_bunches(
    sales: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At four milliseconds a row none may have more than fifty."""
    sizes: list[int] = []
    written = imports._import_bunch

    def slow(job: LeadImport, rows: Any, *, now: Any) -> None:
        sizes.append(len(rows))
        time.sleep(0.004 * len(rows))
        written(job, rows, now=now)

    monkeypatch.setattr(imports, "_import_bunch", slow)
    job = big_job(sales, 200)
    people.confirm(job)
    people.run(job.pk, now=timezone.now())
    job.refresh_from_db()
    assert (job.state, job.created, sum(sizes)) == (ImportState.DONE, 200, 200)
    assert max(sizes) < 50
