"""HOW are we doing? Figures, each defined once, and the panels made of them. Reads only."""

from calls.stats.definitions import CALLS_IN, CARDS, ENDINGS, FIGURES, Figure, Unit, figure, rows_query
from calls.stats.panels import (
    ENOUGH,
    AgentRow,
    HeatMap,
    OverDays,
    ToLookAt,
    Totals,
    agents_side_by_side,
    heat_map,
    needs_a_look,
    over_days,
)
from calls.stats.period import Period, company_zone

__all__ = [
    "CALLS_IN",
    "CARDS",
    "ENDINGS",
    "ENOUGH",
    "FIGURES",
    "AgentRow",
    "Figure",
    "HeatMap",
    "OverDays",
    "Period",
    "ToLookAt",
    "Totals",
    "Unit",
    "agents_side_by_side",
    "company_zone",
    "figure",
    "heat_map",
    "needs_a_look",
    "over_days",
    "rows_query",
]
