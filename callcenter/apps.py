from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class CallCenterConfig(AppConfig):
    name = "callcenter"

    def ready(self) -> None:
        from callcenter import checks  # noqa: F401  registers the checks once apps are loaded


class DeskAdminConfig(AdminConfig):
    """Django's admin with our site as the default, so that `admin.site` is the desk everywhere."""

    default_site = "callcenter.admin_site.CallCenterSite"
