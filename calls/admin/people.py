"""Users and groups, in the desk's look."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

OURS = Q(content_type__app_label__in=["agents", "calls"]) | Q(
    content_type__app_label="auth", content_type__model__in=["user", "group"]
)

# Django registered its own when they were imported above; the desk's take their place.
admin.site.unregister(User)
admin.site.unregister(Group)


class PermissionChoice(forms.ModelMultipleChoiceField[Permission]):
    """What a group may, as boxes: in a list of a hundred lines one click without Ctrl loses all others."""

    widget = UnfoldAdminCheckboxSelectMultipleWidget

    def label_from_instance(self, permission: Any) -> str:
        return f"{permission.content_type.name}: {permission.name}"


class StaffCreationForm(UserCreationForm):
    """Whoever is added here works here: without this mark nobody gets past the login."""

    def save(self, commit: bool = True) -> User:
        self.instance.is_staff = True
        user: User = super().save(commit=commit)
        return user


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = StaffCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "first_name", "last_name", "email", "in_groups", "is_active", "last_login"]
    list_filter = ["groups", "is_active"]
    list_filter_submit = True
    list_fullwidth = True
    add_fieldsets = [
        (
            None,
            {
                "classes": ["wide"],
                "fields": ["username", "usable_password", "password1", "password2", "groups"],
            },
        )
    ]
    filter_horizontal: ClassVar[list[str]] = []

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget()
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description=_("groups"))
    def in_groups(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all())

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Only a superuser makes superusers and hands out single permissions."""
        machine = ["last_login", "date_joined"]
        return machine if request.user.is_superuser else [*machine, "is_superuser", "user_permissions"]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    def _may_touch(self, request: HttpRequest, user: User | None) -> bool:
        return user is None or not user.is_superuser or bool(request.user.is_superuser)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    """Hands out what our own pages ask for; whatever else a group has it keeps."""

    list_display = ["name", "members"]
    filter_horizontal: ClassVar[list[str]] = []

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any
    ) -> Any:
        if db_field.name != "permissions":
            return super().formfield_for_manytomany(db_field, request, **kwargs)
        ours = Permission.objects.filter(OURS).select_related("content_type")
        return PermissionChoice(
            ours.order_by("content_type__app_label", "content_type__model", "codename"),
            label=_("Permissions"),
            required=False,
        )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        kept = list(form.instance.permissions.exclude(OURS)) if change else []
        super().save_related(request, form, formsets, change)
        form.instance.permissions.add(*kept)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).annotate(member_count=Count("user"))

    @admin.display(description=_("members"), ordering="member_count")
    def members(self, group: Any) -> int:
        return int(group.member_count)
