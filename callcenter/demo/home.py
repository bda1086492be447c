"""Where a demo lives: a folder with its keys, database and logs, and the environment its processes get."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.conf import settings

HOME_VARIABLE = "DEMO_HOME"
"""Set in every process of a demo; settings then leave a `.env` unread."""
COMPANY = "Brightside Solar"
COMPANY_ZONE = "America/New_York"
PACE = 0.5
SPEED = 5.0
AT_ONCE = 12
# All that a process of the demo inherits: whatever else is set on this machine is about something real.
INHERITED = ("PATH", "HOME", "LANG", "LANGUAGE", "TERM", "TMPDIR", "TEMP", "TZ", "USER", "VIRTUAL_ENV")
INHERITED_PREFIXES = ("LC_", "PYTHON", "LD_", "DYLD_", "SYSTEM", "COVERAGE")


class AlreadyRunning(Exception):
    """Another demo holds this folder."""


class PortTaken(Exception):
    """Something else listens there."""


@dataclass(frozen=True, slots=True)
class Home:
    """One demo's folder."""

    folder: Path

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def archive(self) -> Path:
        """What the telephone network keeps of its calls."""
        return self.folder / "calls.jsonl"

    @property
    def static(self) -> Path:
        return self.folder / "static"

    def prepare(self) -> None:
        for folder in (self.folder, self.logs, self.folder / "media"):
            folder.mkdir(parents=True, exist_ok=True)

    def lock(self) -> IO[str]:
        """Keep the returned file open for as long as the demo runs. Raises AlreadyRunning."""
        file = (self.folder / "lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise AlreadyRunning(str(self.folder)) from error
        return file

    def kept(self) -> dict[str, str]:
        """Made once: a secret key, made-up keys of the phone company's, and the network's port."""
        path = self.folder / "keys.json"
        if not path.exists():
            made = {
                "secret_key": secrets.token_urlsafe(48),
                "api_key": f"key_demo_{secrets.token_hex(16)}",
                "webhook_secret": secrets.token_hex(16),
                "sandbox_port": "",
            }
            self._keep(made)
        found: dict[str, str] = json.loads(path.read_text())
        return found

    def sandbox_port(self) -> int:
        """The last one if it is free, so that links into the network stay as they were."""
        kept = self.kept()
        last = int(kept["sandbox_port"] or 0)
        if not last or not is_free(last):
            last = free_port()
            self._keep({**kept, "sandbox_port": str(last)})
        return last

    def _keep(self, values: dict[str, str]) -> None:
        path = self.folder / "keys.json"
        path.write_text(json.dumps(values, indent=1))
        path.chmod(0o600)


def usual_home(contract: str) -> Home:
    """Of its own for each contract: what one has placed the other cannot look up."""
    folder = settings.BASE_DIR / ".demo"
    return Home(folder if contract == "current" else folder / contract)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do it: an address whose last connections are still closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(
    home: Home,
    *,
    port: int,
    sandbox_port: int,
    contract: str = "current",
    pace: float = PACE,
    at_once: int = AT_ONCE,
) -> dict[str, str]:
    """All that a process of the demo knows. Raises PortTaken."""
    if not is_free(port):
        raise PortTaken(str(port))
    kept = home.kept()
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name in INHERITED or name.startswith(INHERITED_PREFIXES)
    }
    spoken = {"RETELL_CONTRACT": contract}
    if contract == "article":
        spoken["RETELL_WEBHOOK_SECRET"] = kept["webhook_secret"]
    return {
        **inherited,
        **spoken,
        HOME_VARIABLE: str(home.folder),
        "SECRET_KEY": kept["secret_key"],
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "DATABASE_URL": f"sqlite:///{home.folder / 'demo.sqlite3'}",
        "PUBLIC_BASE_URL": f"http://127.0.0.1:{port}",
        "RETELL_BASE_URL": f"http://127.0.0.1:{sandbox_port}",
        "RETELL_API_KEY": kept["api_key"],
        "TWILIO_BASE_URL": f"http://127.0.0.1:{sandbox_port}",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": kept["webhook_secret"],
        "CALLS_PER_SECOND": f"{pace:g}",
        "MAX_CONCURRENT_CALLS": str(at_once),
        "CALLING_HOURS": "09:00-20:00",
        "COMPANY_NAME": COMPANY,
        "COMPANY_TIME_ZONE": COMPANY_ZONE,
        "STATIC_ROOT": str(home.static),
        "MEDIA_ROOT": str(home.folder / "media"),
        "LOG_LEVEL": "INFO",
    }
