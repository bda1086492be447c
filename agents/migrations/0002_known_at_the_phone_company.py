# A sync marks what it no longer finds, and keeps where calls in are announced.

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('agents', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='agent',
            name='gone_since',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='gone since'),
        ),
        migrations.AddField(
            model_name='phonenumber',
            name='gone_since',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='gone since'),
        ),
        migrations.AddField(
            model_name='phonenumber',
            name='inbound_webhook_url',
            field=models.CharField(blank=True, editable=False, max_length=500, verbose_name='who is asked when it rings'),
        ),
    ]
