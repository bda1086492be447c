"""Static files of the demo, gathered once for each state of the code."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from callcenter.demo.home import Home

KEY = "gathered-from.txt"
OURS = ("callcenter/static", "calls/static", "agents/static", "templates", "requirements.txt")


def start(home: Home) -> subprocess.Popen[bytes] | None:
    """Begin to gather them in another process; None when they are there already. See `finish`."""
    if (home.static / KEY).exists() and (home.static / KEY).read_text() == _key():
        return None
    shutil.rmtree(home.static, ignore_errors=True)
    command = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    return subprocess.Popen(command, cwd=settings.BASE_DIR)  # noqa: S603  our own command


def finish(home: Home, gathering: subprocess.Popen[bytes] | None) -> None:
    """Raises CalledProcessError."""
    if gathering is None:
        return
    if code := gathering.wait():
        raise subprocess.CalledProcessError(code, "collectstatic")
    (home.static / KEY).write_text(_key())


def _key() -> str:
    """Changes with any of our files, and with the release of anybody else's."""
    digest = hashlib.sha256()
    for name in OURS:
        root = Path(settings.BASE_DIR) / name
        for path in sorted([root] if root.is_file() else root.rglob("*")):
            if path.is_file():
                digest.update(f"{path}:{path.stat().st_mtime_ns}:{path.stat().st_size};".encode())
    return digest.hexdigest()
