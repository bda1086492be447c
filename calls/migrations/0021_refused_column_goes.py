from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("calls", "0020_refused_rows")]

    operations = [migrations.RemoveField(model_name="leadimport", name="refused")]
