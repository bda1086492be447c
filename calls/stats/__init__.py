"""HOW are we doing? Figures, each defined once, and the panels made of them. Reads only."""

from calls.stats.definitions import (
    CALLS_IN,
    CARDS,
    ENDINGS,
    FIGURES,
    INTERRUPTIONS,
    Figure,
    Unit,
    figure,
    rows_query,
)
from calls.stats.panels import (
    ENOUGH,
    AgentRow,
    HeatMap,
    Interrupted,
    OverDays,
    ToLookAt,
    Totals,
    agents_side_by_side,
    heat_map,
    interruptions,
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
    "INTERRUPTIONS",
    "AgentRow",
    "Figure",
    "HeatMap",
    "Interrupted",
    "OverDays",
    "Period",
    "ToLookAt",
    "Totals",
    "Unit",
    "agents_side_by_side",
    "company_zone",
    "figure",
    "heat_map",
    "interruptions",
    "needs_a_look",
    "over_days",
    "rows_query",
]
