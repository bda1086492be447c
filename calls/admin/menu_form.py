"""The form of a telephone menu: its sentences, and a row for each of its nine keys."""

from __future__ import annotations

from typing import Any

from django import forms
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from agents import phone
from agents.models import Agent
from calls import menus
from calls.models import Menu, MenuAction, MenuKey, StaffPhone
from calls.models.menu import KEYS
from calls.templatetags.leads import staff_name


class DeskChoice(forms.ModelChoiceField[StaffPhone]):
    def label_from_instance(self, desk: StaffPhone) -> str:
        return f"{staff_name(desk.user)}: {phone.pretty(desk.number)}"


class KeyForm(forms.ModelForm[MenuKey]):
    """What a key does not lead to is left out, whatever was chosen for it. A row to nowhere is no key."""

    key = forms.TypedChoiceField(
        label=gettext_lazy("Key"),
        coerce=int,
        choices=[(key, str(key)) for key in KEYS],
        widget=UnfoldAdminSelectWidget,
    )
    what = forms.ChoiceField(
        label=gettext_lazy("Leads to"),
        choices=[("", gettext_lazy("Nowhere")), *MenuAction.choices],
        widget=UnfoldAdminSelectWidget,
    )
    agent = forms.ModelChoiceField(
        label=gettext_lazy("AI agent"),
        queryset=Agent.objects.filter(gone_since__isnull=True),
        required=False,
        widget=UnfoldAdminSelectWidget,
    )
    desk = DeskChoice(
        label=gettext_lazy("Telephone of ours"),
        queryset=StaffPhone.objects.select_related("user"),
        required=False,
        widget=UnfoldAdminSelectWidget,
    )
    offered_as = forms.CharField(
        label=gettext_lazy("Press … "),
        max_length=120,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": gettext_lazy("to ask about a bill")}),
    )

    class Meta:
        model = MenuKey
        fields = ["key", "what", "agent", "desk", "offered_as"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            # In a table the heading is nobody's label.
            field.widget.attrs["aria-label"] = str(field.label)

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or self.cleaned_data
        what = found.get("what")
        if what != MenuAction.AGENT:
            found["agent"] = None
        elif found.get("agent") is None:
            self.add_error("agent", _("Choose the AI agent."))
        elif not menus.agents_number(found["agent"]):
            self.add_error("agent", _("It answers none of our numbers yet, so there is nothing to ring."))
        if what != MenuAction.DESK:
            found["desk"] = None
        elif found.get("desk") is None:
            self.add_error(
                "desk",
                _("Choose the telephone. Whoever has none here gives it once by “Call from my phone”."),
            )
        return found


class KeyFormSet(BaseInlineFormSet[MenuKey, Menu, KeyForm]):
    """A row for every key, so that none has to be added by script: the free ones are named already."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        menu: Menu | None = kwargs.get("instance")
        taken = set(menu.keys.values_list("key", flat=True)) if menu is not None else set()
        kwargs["initial"] = [{"key": key} for key in KEYS if key not in taken]
        super().__init__(*args, **kwargs)


class KeyInline(TabularInline):
    model = MenuKey
    form = KeyForm
    formset = KeyFormSet
    max_num = len(KEYS)
    show_title = False
    verbose_name_plural = gettext_lazy("Keys: what each leads to, and how it is offered after “Press 1”")

    def get_extra(self, request: HttpRequest, obj: Menu | None = None, **kwargs: Any) -> int:
        return len(KEYS) - (obj.keys.count() if obj else 0)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("calls.change_menu") or request.user.has_perm("calls.add_menu"))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_add_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_add_permission(request, obj)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("calls.view_menu"))
