from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('calls', '0028_provider_check'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='call',
            name='one_row_per_provider_call',
        ),
        migrations.AddConstraint(
            model_name='call',
            constraint=models.UniqueConstraint(condition=models.Q(('provider_call_id', ''), _negated=True), fields=('provider_call_id', 'provider'), name='one_row_per_provider_call'),
        ),
    ]
