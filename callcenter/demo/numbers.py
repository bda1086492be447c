"""Telephone numbers that belong to nobody: only ranges that regulators keep for film and fiction.

North America: NPA 555-0100 to 0199 in every area code (NANPA). United Kingdom: Ofcom's numbers for drama.
Germany: Bundesnetzagentur, "Rufnummern für Medien". France: Arcep, numéros de fiction. Australia: ACMA's
numbers for use in radio, books, film and TV.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random

# 415 is left to the telephones of docs/sandbox.md, 212 and London 7946 0990 to the company's own lines.
AREA_CODES: Mapping[str, Sequence[int]] = {
    "America/New_York": (
        201,
        202,
        203,
        215,
        216,
        305,
        313,
        404,
        407,
        412,
        516,
        617,
        646,
        703,
        704,
        718,
        804,
        919,
    ),
    "America/Chicago": (205, 214, 312, 314, 402, 405, 414, 504, 512, 612, 615, 713, 816, 901),
    "America/Denver": (303, 307, 406, 505, 801),
    "America/Phoenix": (480, 520, 602),
    "America/Los_Angeles": (206, 213, 310, 408, 503, 510, 619, 702, 714, 818, 916),
    "Pacific/Honolulu": (808,),
    "America/Toronto": (416, 514, 613, 647, 905),
    "America/Vancouver": (604, 778),
    "America/Halifax": (902,),
}
ABROAD: Mapping[str, Sequence[tuple[str, int]]] = {
    # Prefix in E.164 and how many digits follow.
    "Europe/London": (
        ("+441134960", 3), ("+441174960", 3), ("+441214960", 3), ("+441314960", 3), ("+441414960", 3),
        ("+441614960", 3), ("+441914980", 3), ("+442920180", 3),
    ),
    "Europe/Berlin": (
        ("+493023125", 3), ("+494066969", 3), ("+496990009", 3), ("+498999998", 3), ("+492214710", 3),
    ),
    "Europe/Paris": (
        ("+33199000", 3), ("+33261910", 3), ("+33353010", 3), ("+33465710", 3), ("+33536490", 3),
    ),
    "Australia/Sydney": (("+61255500", 3), ("+61355500", 3)),
}  # fmt: skip


def at_home(luck: Random) -> dict[str, Iterator[str]]:
    """Zone -> numbers that by themselves lie in that zone, each once, in random order."""
    found = {zone: _north_american(luck, codes) for zone, codes in AREA_CODES.items()}
    return found | {zone: _abroad(luck, ranges) for zone, ranges in ABROAD.items()}


def _north_american(luck: Random, codes: Sequence[int]) -> Iterator[str]:
    numbers = [f"+1{code}55501{line:02d}" for code in codes for line in range(100)]
    luck.shuffle(numbers)
    return iter(numbers)


def _abroad(luck: Random, ranges: Sequence[tuple[str, int]]) -> Iterator[str]:
    numbers = [f"{prefix}{line:0{digits}d}" for prefix, digits in ranges for line in range(10**digits)]
    luck.shuffle(numbers)
    return iter(numbers)
