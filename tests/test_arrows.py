"""Who may know whom: doors -> verbs -> models and pure rules -> agents.models -> agents.providers."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("agents", "calls", "callcenter")
DOORS = ("calls.webhooks", "calls.api", "calls.admin", "calls.public", "calls.management")
VERBS = (
    "calls.eligibility",
    "calls.dialer",
    "calls.lifecycle",
    "calls.dispositions",
    "calls.stats",
    "calls.people",
    "calls.live",
    "calls.recordings",
    "calls.recording_copies",
    "calls.provider_checks",
    "calls.number_proof",
    "calls.search",
    "calls.releasing",
    "calls.menus",
)
# Where an import may wait: Django has to be ready first.
LATE_IMPORTS = {"manage.py", "callcenter/apps.py", "agents/apps.py", "calls/apps.py"}
# Names that only Retell uses, and that our own columns and API do not share with it.
THEIR_WORDS = {
    "call_analysis",
    "call_cost",
    "combined_cost",
    "custom_analysis_data",
    "end_timestamp",
    "in_voicemail_detected",
    "override_agent_id",
    "override_agent_version",
    "scrubbed_transcript_with_tool_calls",
    "start_timestamp",
    "telephony_identifier",
    "transcript_object",
    "transcript_with_tool_calls",
    "user_sentiment",
}


def sources() -> dict[str, Path]:
    """Module name to file, migrations left out."""
    found = {}
    for package in OURS:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if "migrations" not in parts:
                found[".".join(parts).removesuffix(".__init__")] = path
    return found


SOURCES = sources()
TREES = {module: ast.parse(path.read_text(), str(path)) for module, path in SOURCES.items()}


class Import(NamedTuple):
    line: int
    name: str
    waits: bool
    """Inside a function."""


@cache
def imports(module: str) -> list[Import]:
    """All that a module imports by full name, for typing only as well."""
    package = module if SOURCES[module].name == "__init__.py" else module.rpartition(".")[0]
    found: list[Import] = []

    def visit(node: ast.AST, waits: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(node.lineno, name.name, waits) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found.extend(Import(node.lineno, f"{base}.{name.name}", waits) for name in node.names)
        elif not isinstance(node, ast.expr):
            waits = waits or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for child in ast.iter_child_nodes(node):
                visit(child, waits)

    visit(TREES[module], False)
    return found


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def broken(knowers: tuple[str, ...], forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{module}:{line} imports {name}"
        for module in TREES
        if within(module, knowers)
        for line, name, _ in imports(module)
        if within(name, forbidden)
    ]


ARROWS = [
    pytest.param(("agents",), ("calls",), id="supply does not know demand"),
    pytest.param(
        ("agents.providers", "agents.sandbox"),
        ("django.db", "agents.models", "calls", "callcenter"),
        id="providers and the sandbox touch no row",
    ),
    pytest.param(("agents.providers",), ("agents.sandbox",), id="no provider knows that there is a sandbox"),
    pytest.param(("agents.models", "agents.phone"), ("agents.sandbox",), id="no row knows the sandbox"),
    pytest.param(VERBS, DOORS, id="verbs do not know their doors"),
    pytest.param(("calls.models",), VERBS + DOORS, id="rows know neither verbs nor doors"),
    pytest.param(
        (*VERBS, "calls.models", "calls.webhooks", "calls.api", "calls.admin", "calls.public"),
        ("agents.sandbox",),
        id="nothing that runs in production knows the sandbox",
    ),
    pytest.param(
        ("calls", "callcenter", "agents.models", "agents.sync", "agents.readiness", "agents.variables"),
        ("agents.providers.retell", "agents.providers.http"),
        id="a provider is reached through the registry",
    ),
    pytest.param(
        ("calls.lifecycle.derive", "calls.eligibility.hours"),
        ("django.db", "httpx", "calls.models.clock"),
        id="pure rules neither ask the database nor the time",
    ),
    pytest.param(
        ("calls.dialer", "calls.lifecycle", "calls.eligibility", "calls.people", "calls.dispositions"),
        ("rest_framework", "django.contrib.admin", "unfold"),
        id="verbs do not know what a page or an API answer is",
    ),
]


@pytest.mark.parametrize(("knowers", "forbidden"), ARROWS)
def test_nobody_imports_what_it_must_not_know(knowers: tuple[str, ...], forbidden: tuple[str, ...]) -> None:
    assert broken(knowers, forbidden) == []


def test_a_door_takes_from_a_package_only_what_it_hands_on() -> None:
    """Past its `__init__` there is nobody's contract. The commands that *are* a process start its loop."""
    handed_on = {
        package: set(ast.literal_eval(node.value))
        for package in VERBS
        for node in TREES[package].body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    }
    taken = [
        (f"{module}:{line} imports {name}", name.removeprefix(package + "."), package)
        for module in TREES
        if within(module, DOORS) and not within(module, ("calls.management",))
        for line, name, _ in imports(module)
        for package in handed_on
        if name.startswith(package + ".")
    ]
    assert {package for _, _, package in taken} >= {"calls.dialer", "calls.lifecycle", "calls.stats"}
    assert [told for told, name, package in taken if name not in handed_on[package]] == []


@pytest.mark.parametrize("package", [*VERBS, *DOORS, "agents.providers", "agents.sandbox"])
def test_every_package_of_the_rules_exists(package: str) -> None:
    """A rule about a package that was renamed would hold for ever."""
    assert package in TREES


def test_supply_does_not_reach_demand_by_a_string() -> None:
    reached = [
        f"{module}:{node.lineno} {node.value!r}"
        for module, tree in TREES.items()
        if within(module, ("agents",))
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.match(r"calls\.[A-Za-z_.]+$", node.value)
    ]
    assert reached == []


def test_no_import_waits_inside_a_function() -> None:
    """A circle is taken apart, not dodged."""
    late = [
        f"{module}:{line} imports {name}"
        for module in TREES
        if str(SOURCES[module].relative_to(ROOT)) not in LATE_IMPORTS
        for line, name, waits in imports(module)
        if waits and within(name, OURS)
    ]
    assert late == []


def test_a_package_only_hands_on_its_verbs() -> None:
    """`__init__.py` holds no code: a docstring, imports, __all__."""
    busy = [
        f"{module}:{node.lineno}"
        for module, tree in TREES.items()
        if SOURCES[module].name == "__init__.py"
        for node in tree.body
        if not isinstance(node, ast.Import | ast.ImportFrom)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
    ]
    assert busy == []


def test_no_field_name_of_a_provider_leaves_its_home() -> None:
    said = [
        f"{module}:{node.lineno} {word}"
        for module, tree in TREES.items()
        if not within(module, ("agents.providers", "agents.sandbox"))
        for node in ast.walk(tree)
        for word in [getattr(node, "attr", None) or (node.value if isinstance(node, ast.Constant) else None)]
        if isinstance(word, str) and word in THEIR_WORDS
    ]
    assert said == []


def test_no_file_is_longer_than_one_reads() -> None:
    """450 lines; migrations are written once and read by Django."""
    files = [
        path
        for folder in (*OURS, "tests", "templates", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".html", ".md", ".css"} and "migrations" not in path.parts
    ]
    assert len(files) > 300
    assert [str(path) for path in files if path.read_text(encoding="utf-8").count("\n") > 450] == []


def test_signals_of_our_own_are_not_used() -> None:
    used = [
        f"{module}:{line} imports {name}"
        for module in TREES
        for line, name, _ in imports(module)
        if name.startswith(("django.dispatch", "django.db.models.signals"))
    ]
    assert used == []
