"""The conversations, one JSON file each; `screenplay` says how they are written."""

from agents.sandbox.scripts.screenplay import (
    SCRIPTS,
    VARIABLE,
    Analysis,
    Line,
    Role,
    Script,
    find,
    render,
)

__all__ = ["SCRIPTS", "VARIABLE", "Analysis", "Line", "Role", "Script", "find", "render"]
