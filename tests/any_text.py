"""Text as hypothesis makes it up, for tests that hold for whatever anybody writes."""

from __future__ import annotations

from hypothesis import strategies as st

# Without a codec: working out what one can encode costs a fresh clone six seconds.
ANY_SIGN = st.characters(exclude_categories=["Cs"])
