"""Every test that docs/article.md names for a row exists, and every file that it links to."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOC = (ROOT / "docs" / "article.md").read_text()


def test_every_test_named_in_the_table_exists() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", DOC))
    assert len(named) > 30
    assert {name for name in named if f"def {name}(" not in tests} == set()
    cases = set(re.findall(r"`(Test\w+|\w+Case)`", DOC))
    assert {name for name in cases if f"class {name}" not in tests} == set()


def test_every_link_of_the_table_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", DOC)
    assert len(links) > 5
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_every_row_has_a_test() -> None:
    rows = [line for line in DOC.splitlines() if line.startswith("| ") and line.count("|") == 4]
    bare = [row for row in rows if not re.search(r"test_|Test|\.py|--- \||Test \|", row)]
    assert bare == []
