"""Everything that must hold before a change is taken. `make test` runs this file.

    python tests/run.py                  all steps
    python tests/run.py ruff sqlite      only these
    python tests/run.py --list           their names

A step that needs what this machine lacks (a PostgreSQL, Chromium) is left out with its
reason; with CI=true that is a failure. Ends with 0 only if every step that ran passed.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.postgres import Cluster, NoServer, any_programs, debian_programs, wheel_programs  # noqa: E402

PROGRAMS = Path(sys.executable).parent
PYTHON = sys.executable
CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
TEMPLATES = ["templates", "agents/sandbox/pages"]
SECOND_PYTHON = "3.13"
# The machine has other work too; two are measured to be the fastest on two cores.
WORKERS = "2"

PRODUCTION = {
    "SECRET_KEY": "only-to-see-whether-production-settings-hold-0123456789",
    "ALLOWED_HOSTS": "calls.example.com",
    "PUBLIC_BASE_URL": "https://calls.example.com",
    "RETELL_API_KEY": "key_of_nobody",
}


class LeftOut(Exception):
    """This step cannot run on this machine; the message says why."""


class Failed(Exception):
    """The message says what."""


def clean_environment(**ours: str) -> dict[str, str]:
    """The environment without this product's variables: no test may reach a real account or database.

    Every variable is set to what a step wants or emptied, since `.env` fills in what is not there.
    """
    example = (ROOT / ".env.example").read_text()
    names = re.findall(r"^#?\s?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE)
    # Hundreds of processes are started: each would compile the product anew.
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **dict.fromkeys(names, ""), **ours}


def run(*command: str | Path, **variables: str) -> None:
    code = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=clean_environment(**variables), check=False
    ).returncode
    if code:
        shown = " ".join(Path(part).name if isinstance(part, Path) else part for part in command)
        raise Failed(f"{shown} ended with {code}")


def manage(*arguments: str, **variables: str) -> None:
    with tempfile.TemporaryDirectory(prefix="callcenter-") as folder:
        run(
            PYTHON, "manage.py", *arguments, **{"DATABASE_URL": f"sqlite:///{folder}/db.sqlite3", **variables}
        )


def pytest(database: str, *arguments: str, python: str | Path = PYTHON, **variables: str) -> None:
    run(
        python,
        "-m",
        "pytest",
        "-q",
        "-n",
        WORKERS,
        "--dist",
        "worksteal",
        *arguments,
        DATABASE_URL=database,
        **variables,
    )


def pytest_on_sqlite(*arguments: str, python: str | Path = PYTHON) -> None:
    with tempfile.TemporaryDirectory(prefix="callcenter-") as folder:
        pytest(f"sqlite:///{folder}/db.sqlite3", *arguments, python=python)


def ruff() -> None:
    run(PROGRAMS / "ruff", "check", ".")
    run(PROGRAMS / "ruff", "format", "--check", ".")


def mypy() -> None:
    run(PROGRAMS / "mypy")


def djlint() -> None:
    folders = [folder for folder in TEMPLATES if (ROOT / folder).is_dir()]
    # Its formatter is not held: it breaks lines inside what people said, where white space is shown.
    run(PROGRAMS / "djlint", "--quiet", "--lint", *folders)


def migrations() -> None:
    manage("makemigrations", "--check", "--dry-run")


def deployment() -> None:
    """Its one warning, that no rule pack is chosen, is the operator's to answer; a test holds it to one."""
    manage("check", "--deploy", "--fail-level", "ERROR", **PRODUCTION)


def sqlite() -> None:
    pytest_on_sqlite("-m", "not browser")


def _postgresql(programs: Callable[[], Path], python: str | Path = PYTHON, **variables: str) -> None:
    try:
        found = programs()
    except NoServer as reason:
        raise LeftOut(str(reason)) from reason
    with Cluster(found) as server:
        # What says the same on every engine has passed on SQLite.
        pytest(server.url, "-m", "not browser", python=python, EACH_ENGINE="1", **variables)


def wheel_postgresql() -> None:
    """In the gate, where the other PostgreSQL is sure to be there too, each is asked half."""
    _postgresql(wheel_programs, **({"HALF": "pages and races"} if CI else {}))


def debian_postgresql() -> None:
    """In the gate with the second Python, in an environment made for it: two things in one run."""
    second = _second_python()
    if second is None:
        _postgresql(debian_programs, **({"HALF": "rules"} if CI else {}))
        return
    with tempfile.TemporaryDirectory(prefix="callcenter-") as folder:
        run(second, "-m", "venv", folder)
        inside = Path(folder) / "bin" / "python"
        pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile"]
        run(inside, *pip, "-r", "requirements-dev.txt")
        _postgresql(debian_programs, inside, HALF="rules")


def _second_python() -> str | Path | None:
    """In the gate, and where there is one."""
    if not CI:
        return None
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [
        shutil.which(f"python{SECOND_PYTHON}"),
        *pyenv.glob(f"versions/{SECOND_PYTHON}.*/bin/python"),
    ]
    for python in filter(None, candidates):
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            return python
    print(f"There is no Python {SECOND_PYTHON} here.")
    return None


def browser() -> None:
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        raise LeftOut("no Chromium on this machine (Debian: apt install chromium)")
    pytest_on_sqlite("-m", "browser")


def storm() -> None:
    """Calls on real processes that are killed and frozen; at 20,000 calls it is `make storm`."""
    try:
        any_programs()
    except NoServer as reason:
        raise LeftOut(str(reason)) from reason
    run(PYTHON, "-m", "tests.storm", "--calls", "300", "--engine", "postgresql")
    run(PYTHON, "-m", "tests.storm", "--calls", "40", "--engine", "sqlite")


STEPS: dict[str, Callable[[], None]] = {
    "ruff": ruff,
    "mypy": mypy,
    "djlint": djlint,
    "migrations": migrations,
    "deployment": deployment,
    "sqlite": sqlite,
    "postgresql-18": wheel_postgresql,
    "postgresql-15": debian_postgresql,
    "browser": browser,
    "storm": storm,
}


def main(wanted: list[str]) -> int:
    if wanted == ["--list"]:
        print("\n".join(STEPS))
        return 0
    if unknown := set(wanted) - set(STEPS):
        print(f"No such step: {', '.join(sorted(unknown))}. There are: {', '.join(STEPS)}.")
        return 2
    told: list[str] = []
    wrong: list[str] = []
    for name in wanted or STEPS:
        print(f"\n=== {name}", flush=True)
        began = time.monotonic()
        try:
            STEPS[name]()
            says = "passed"
        except LeftOut as reason:
            says = f"left out: {reason}"
            if CI:
                wrong.append(name)
        except Failed as reason:
            says = f"FAILED: {reason}"
            wrong.append(name)
        told.append(f"{name:<14} {time.monotonic() - began:6.1f} s  {says}")
        print(told[-1], flush=True)
    print("\n=== All steps")
    print("\n".join(told))
    print(f"\nFAILED: {', '.join(wrong)}." if wrong else "\nEverything that ran passed.")
    return 1 if wrong else 0


if __name__ == "__main__":
    # So that a server we started does not outlive us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
