"""Sales, Managers, Administrators.

Permissions are otherwise made after the last migration, too late to be given to a group here; so they
are made first, by Django's own function, over the models as they are at this point.
"""

from django.contrib.auth.management import create_permissions
from django.db import migrations

SALES = {
    "calls": [
        "view_lead", "add_lead", "change_lead", "import_lead",
        "view_leadphone", "add_leadphone", "change_leadphone", "delete_leadphone",
        "view_note", "add_note", "change_note",
        "view_leadlist",
        "view_leadimport", "add_leadimport",
        "view_call", "place_call", "hang_up_call", "stop_calling",
        "view_callrequest", "view_transcript",
        "view_callbatch",
        "view_callback", "add_callback", "change_callback",
        "view_donotcall", "add_donotcall",
    ],
    "agents": ["view_agent", "view_phonenumber"],
}
MANAGERS_TOO = {
    "calls": [
        "see_everyones", "resume_calling", "lift_donotcall",
        "add_leadlist", "change_leadlist", "delete_leadlist",
        "delete_note",
    ],
    "agents": ["add_agent", "change_agent", "add_phonenumber", "change_phonenumber"],
}
ADMINISTRATORS_TOO = {
    "auth": [
        "view_user", "add_user", "change_user", "delete_user",
        "view_group", "add_group", "change_group", "delete_group",
    ],
}


def make_groups(apps, schema_editor):
    using = schema_editor.connection.alias
    for label in ("auth", "agents", "calls"):
        app = apps.get_app_config(label)
        # Apps of a migration's state carry no models module, which create_permissions would take for "no models".
        if not getattr(app, "models_module", None):
            app.models_module = True
        create_permissions(app, apps=apps, using=using, verbosity=0, interactive=False)

    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    all_permissions = Permission.objects.using(using).select_related("content_type")
    by_name = {(row.content_type.app_label, row.codename): row for row in all_permissions}

    def named(wanted):
        return {by_name[label, codename] for label, codenames in wanted.items() for codename in codenames}

    sales = named(SALES)
    managers = sales | named(MANAGERS_TOO)
    ours = {row for (label, _), row in by_name.items() if label in ("agents", "calls")}
    administrators = managers | named(ADMINISTRATORS_TOO) | ours
    for name, permissions in (("Sales", sales), ("Managers", managers), ("Administrators", administrators)):
        group, _ = Group.objects.using(using).get_or_create(name=name)
        group.permissions.add(*permissions)


class Migration(migrations.Migration):
    dependencies = [
        ("agents", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("calls", "0001_initial"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
