"""Which column of somebody's file is which field of ours."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from django.db import models
from django.utils.translation import gettext_lazy as _


class Column(models.TextChoices):
    """What a column of a lead file can be."""

    NAME = "name", _("Name")
    FIRST_NAME = "first_name", _("First name")
    LAST_NAME = "last_name", _("Last name")
    COMPANY = "company", _("Company")
    PHONE = "phone", _("Phone number")
    PHONE_2 = "phone_2", _("Second phone number")
    EMAIL = "email", _("E-mail")
    TIME_ZONE = "time_zone", _("Time zone")
    EXTERNAL_ID = "external_id", _("Id in the other system")
    REASON = "reason", _("Why we call")
    DO_NOT_CALL = "do_not_call", _("Do not call (yes or no)")
    CUSTOM = "custom", _("Keep as a field of its own")
    LEAVE_OUT = "", _("Leave out")


# Folded to letters and digits; English, German, French, Spanish, and what CRMs export.
SPELLINGS: dict[Column, str] = {
    Column.NAME: """
        name fullname contact contactname lead person kunde nom nomcomplet nombre nombrecompleto""",
    Column.FIRST_NAME: "firstname givenname forename vorname prenom nombredepila",
    Column.LAST_NAME: "lastname surname familyname nachname nomdefamille apellido apellidos",
    Column.COMPANY: """
        company companyname organisation organization account accountname business
        firma unternehmen societe entreprise empresa""",
    Column.PHONE: """
        phone phone1 phonenumber telephone telephonenumber tel number mobile mobilephone mobilenumber cell
        cellphone telefon telefonnummer handy mobil rufnummer numero telefono movil portable
        numerodetelephone""",
    Column.PHONE_2: """
        phone2 secondphone otherphone workphone homephone businessphone telefon2 telephone2 telefono2""",
    Column.EMAIL: "email emailaddress mail emailadresse courriel correo correoelectronico",
    Column.TIME_ZONE: "timezone tz zeitzone fuseauhoraire zonahoraria",
    Column.EXTERNAL_ID: """
        externalid id leadid contactid customerid crmid recordid kundennummer reference ref""",
    Column.REASON: "reason whywecall purpose callreason grund anlass motif motivo",
    Column.DO_NOT_CALL: """
        donotcall dnc donotcontact optout optedout unsubscribed nichtanrufen sperrliste
        nepasappeler nollamar""",
}
KNOWN = {folded: column for column, spellings in SPELLINGS.items() for folded in spellings.split()}

ROW_IN_FILE, WHY_REFUSED = _("row in the file"), _("why refused")
OURS = (ROW_IN_FILE, WHY_REFUSED)


def _fold(header: str) -> str:
    plain = unicodedata.normalize("NFKD", header).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]", "", plain.casefold())


def guess_columns(headers: Sequence[str]) -> dict[str, str]:
    """{header: Column value}. A field is given to the first header that fits; what nothing fits is kept."""
    taken: set[str] = set()
    # The file of refused rows comes back corrected: its two columns of ours are no data.
    guessed = {str(name): str(Column.LEAVE_OUT) for name in OURS if str(name) in headers}
    for header in headers:
        if header in guessed:
            continue
        column = KNOWN.get(_fold(header), Column.CUSTOM)
        if column == Column.PHONE and column in taken:
            column = Column.PHONE_2
        if column != Column.CUSTOM and column in taken:
            column = Column.CUSTOM
        taken.add(column)
        guessed[header] = column.value
    return guessed


def column_problems(columns: dict[str, str]) -> list[str]:
    """What is wrong with a mapping, as sentences for staff; empty when it can be imported."""
    chosen = [value for value in columns.values() if value not in {Column.CUSTOM, Column.LEAVE_OUT}]
    problems: list[str] = [
        str(_("“%(field)s” was chosen for two columns.") % {"field": Column(value).label})
        for value in dict.fromkeys(chosen)
        if chosen.count(value) > 1
    ]
    if Column.PHONE not in chosen:
        problems.append(str(_("Say which column holds the phone number.")))
    if not {Column.NAME, Column.FIRST_NAME, Column.LAST_NAME, Column.COMPANY, Column.DO_NOT_CALL} & set(
        chosen
    ):
        problems.append(str(_("Say which column holds the name.")))
    return problems
