from django.conf import settings
from django.db import migrations, models
from django.db.models import F


def tell_them_apart(apps, schema_editor):
    requests = apps.get_model("calls", "CallRequest").objects.using(schema_editor.connection.alias)
    requests.filter(user__isnull=False).exclude(call__requested_by=F("user")).update(adopted=True)


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('calls', '0035_number_standing'),
    ]

    operations = [
        migrations.AddField(
            model_name='callrequest',
            name='adopted',
            field=models.BooleanField(default=False),
        ),
        migrations.RunPython(tell_them_apart, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name='callrequest',
            index=models.Index(condition=models.Q(('adopted', True)), fields=['user'], name='request_adopted'),
        ),
        migrations.RemoveIndex(
            model_name='call',
            name='call_dashboard',
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(fields=['requested_at'], include=('direction', 'status', 'outcome', 'answered_by', 'agent', 'lead', 'requested_by', 'placed_at', 'duration_ms', 'cost_micros', 'currency', 'disposition', 'proposed_disposition', 'local_hour', 'local_weekday', 'test', 'fault', 'id'), name='call_dashboard'),
        ),
    ]
