from django.db import migrations


def make_gates(apps, schema_editor):
    """The rows that every claim and every permit locks: a lock on a row that is not there locks nothing."""
    Gate = apps.get_model("calls", "Gate")
    for kind in ("stop", "capacity"):
        Gate.objects.get_or_create(kind=kind, name="all")


class Migration(migrations.Migration):
    dependencies = [("calls", "0005_event_indexes")]
    operations = [migrations.RunPython(make_gates, migrations.RunPython.noop)]
