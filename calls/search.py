"""Finding calls by what was said, by name, and by number in any spelling."""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.db.models.expressions import RawSQL

from agents import phone

WORD = re.compile(r"[^\W_]+")
PHRASE = re.compile(r'"([^"]+)"|(\S+)')
NUMBER_MARKS = re.compile(r"^[\d\s()+./\-–]+$")
FEWEST_DIGITS = 3
"""Fewer would find nearly every number."""
SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
LONGEST_SENTENCE = 160
LAST_63_BITS = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Term:
    """Words that must stand one after the other; of the last, the beginning is enough if `open_end`."""

    words: tuple[str, ...]
    open_end: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a found sentence."""

    text: str
    hit: bool = False


def index_transcript(call_id: uuid.UUID, text: str) -> None:
    """Keep the search in step with a transcript just written. PostgreSQL's index does so by itself."""
    index_transcripts([(call_id, text)])


def index_transcripts(transcripts: Iterable[tuple[uuid.UUID, str]]) -> None:
    """As `index_transcript`, for many; what was indexed for these calls before is replaced."""
    if connection.vendor != "sqlite":
        return
    rows = [(_row(call_id), text, call_id.hex) for call_id, text in transcripts]
    with connection.cursor() as cursor:
        cursor.executemany("DELETE FROM calls_transcript_words WHERE rowid = %s", [(row[0],) for row in rows])
        cursor.executemany(
            "INSERT INTO calls_transcript_words (rowid, text, call_id) VALUES (%s, %s, %s)", rows
        )


def _row(call_id: uuid.UUID) -> int:
    """The FTS row of a call, so that a second transcript finds and replaces the first without a scan.

    63 bits of chance: of an id that begins with its time those at its end, of an older one the first. The
    trigger that forgets the words of a deleted transcript (migration 0041) counts the same.
    """
    return call_id.int & LAST_63_BITS if call_id.version == 7 else call_id.int >> 65


def terms(query: str) -> list[Term]:
    """What is looked for: every word, "quoted words" together; the last word may be unfinished."""
    found = []
    for match in PHRASE.finditer(query):
        words = tuple(fold(word) for word in WORD.findall(unicodedata.normalize("NFC", match[1] or match[2])))
        if words:
            found.append(Term(words, open_end=match[1] is None and match.end() == len(query)))
    return found


def fold(text: str) -> str:
    """Without case and accents, as both engines compare."""
    plain = "".join(mark for mark in unicodedata.normalize("NFD", text) if not unicodedata.combining(mark))
    return plain.lower()


def calls_matching(query: str) -> Q:
    """Calls whose number, lead's name or company, or transcript has what was typed; all for ''."""
    query = query.replace("\x00", " ").strip()
    if not query:
        return Q()
    if NUMBER_MARKS.match(query):
        return _number_is(query) | said(query)
    words = query.split()
    named = reduce(and_, (Q(lead__name__icontains=word) | Q(lead__company__icontains=word) for word in words))
    return named | said(query)


def said(query: str) -> Q:
    """Calls in which this was said, by either side."""
    wanted = terms(query)
    if not wanted:
        return Q(pk__in=[])
    if connection.vendor == "postgresql":
        sql = (
            "SELECT call_id FROM calls_transcript WHERE "
            "to_tsvector('simple'::regconfig, calls_plain(text)) @@ to_tsquery('simple'::regconfig, %s)"
        )
        return Q(pk__in=RawSQL(sql, [_tsquery(wanted)]))  # noqa: S611  fixed text, the words are a parameter
    sql = "SELECT call_id FROM calls_transcript_words WHERE calls_transcript_words MATCH %s"
    return Q(pk__in=RawSQL(sql, [_fts5(wanted)]))  # noqa: S611  fixed text, the words are a parameter


def _number_is(query: str) -> Q:
    digits = phone.digits(query)
    if len(digits) < FEWEST_DIGITS:
        return Q(pk__in=[])
    # A national number is written with a 0 in front that its E.164 form has not.
    found = Q(counterpart__contains=digits) | Q(counterpart__contains=digits.lstrip("0") or digits)
    found |= Q(our_number__contains=digits)
    try:
        found |= Q(counterpart=phone.to_e164(query, country=settings.DEFAULT_COUNTRY))
    except phone.BadNumber:
        return found
    return found


def _tsquery(wanted: Sequence[Term]) -> str:
    """Words hold letters and digits only (WORD), so nothing in them is an operator."""
    return " & ".join(
        "(" + " <-> ".join(f"'{word}'" for word in term.words) + (":*)" if term.open_end else ")")
        for term in wanted
    )


def _fts5(wanted: Sequence[Term]) -> str:
    return " ".join('"' + " ".join(term.words) + ('"*' if term.open_end else '"') for term in wanted)


def sentence_found(text: str, query: str) -> list[Piece]:
    """The sentence that has most of what was looked for, cut into hits and the rest; empty if none has."""
    wanted = terms(query)
    best: tuple[int, list[Piece]] = (0, [])
    for match in SENTENCE.finditer(text):
        pieces, found = _marked(match[0].strip(), wanted)
        if found > best[0]:
            best = (found, pieces)
    return _shortened(best[1])


def _marked(sentence: str, wanted: Sequence[Term]) -> tuple[list[Piece], int]:
    """The sentence in pieces, and how many different terms are in it."""
    words = [(match, fold(match[0])) for match in WORD.finditer(sentence)]
    hits: set[int] = set()
    found = 0
    for term in wanted:
        starts = [at for at in range(len(words)) if _stands_at(term, [word for _m, word in words[at:]])]
        hits.update(at + offset for at in starts for offset in range(len(term.words)))
        found += bool(starts)
    pieces, at = [], 0
    for position in sorted(hits):
        match = words[position][0]
        pieces += [Piece(sentence[at : match.start()]), Piece(match[0], hit=True)]
        at = match.end()
    pieces.append(Piece(sentence[at:]))
    return [piece for piece in pieces if piece.text], found


def _stands_at(term: Term, words: Sequence[str]) -> bool:
    *exact, last = term.words
    if len(words) < len(term.words) or list(words[: len(exact)]) != exact:
        return False
    there = words[len(exact)]
    return there.startswith(last) if term.open_end else there == last


def _shortened(pieces: list[Piece]) -> list[Piece]:
    """A long sentence keeps the words around its hits."""
    if sum(len(piece.text) for piece in pieces) <= LONGEST_SENTENCE:
        return pieces
    kept: list[Piece] = []
    for at, piece in enumerate(pieces):
        if piece.hit or len(piece.text) <= 60:
            kept.append(piece)
            continue
        head = "" if at == 0 else piece.text[:30].rpartition(" ")[0]
        tail = "" if at == len(pieces) - 1 else piece.text[-30:].partition(" ")[2]
        kept.append(Piece(f"{head} … {tail}" if head and tail else f"{head} …" if head else f"… {tail}"))
    return kept
