"""Pass ``converted``: a movement in another asset, which the source converted at its rate and we at ours.

For each configured reference pair (normalised): an external line and the lines of one entry that share the reference,
name the same original amount in the same asset and go the same way. They are a match when the rate booked on the
statement explains the external amount to one minor unit, and ours differs by one minor unit or ``fx_tolerance_ppm`` of
it at most; what is left is the group's difference, the external member in the role ``fx``. A fee that the source kept
back must be the one our entry books beside the converted amount. Law: the statement's own rate alone is asked; a larger
rest is no match but an ``fx_variance``, and a pair is made only when it is the only explanation of both.

    200.00 USD at 0.9272450 = 185.45 EUR      ledger 185.44 EUR for 200.00 USD: a match, difference 0.01
    200.00 USD at 0.9272450 = 185.45 EUR      ledger 184.00 EUR for 200.00 USD: no match
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from reconciliation.matching import bundles, candidates, json_text, resolution
from reconciliation.matching.books import Agreement, Books
from reconciliation.matching.bundles import Bundles, is_fee_kind
from reconciliation.matching.candidates import Gate, Pairing, Units
from reconciliation.matching.columns import BoolArray, Column, IntArray, kernel
from reconciliation.matching.context import MatchContext
from reconciliation.matching.proposals import (
    Membership,
    Outcome,
    Proposal,
    Sums,
    Undecided,
    explanation,
    undone_pairs,
)
from reconciliation.matching.rates import converted
from reconciliation.matching.references import shared_codes
from reconciliation.matching.resolution import Resolution
from reconciliation.sources import MatchRules, ReferencePair

_NAME: Final = "converted"
_MILLION: Final = 1_000_000
_ROUNDING_MINOR: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ours:
    """Entries with one converted line and, at most, fees beside it; parallel to ``whole``."""

    whole: Bundles
    principal: IntArray  # row of the converted line
    fee_minor: IntArray  # what the entry's other lines take off


@dataclass(frozen=True, slots=True, kw_only=True)
class _Theirs:
    """External lines whose own rate explains them. ``gross_minor``: what was converted, before the fee."""

    units: Units
    gross_minor: IntArray
    expected_minor: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    books: Books
    pair: ReferencePair
    rules: MatchRules
    context: MatchContext
    theirs: _Theirs
    ours: _Ours

    def rest_minor(self, left: IntArray, right: IntArray) -> IntArray:
        """How far the source's converted amounts are above ours."""
        booked = self.books.ledger.amount_minor[self.ours.principal[right]]
        return np.asarray(self.theirs.gross_minor[left] - booked, dtype=np.int64)

    def tolerance_minor(self, left: IntArray) -> IntArray:
        """What the rest may be: the larger of a minor unit and the configured share."""
        size = np.abs(self.theirs.gross_minor[left])
        ppm = self.rules.fx_tolerance_ppm
        share = (
            size // _MILLION * ppm + size % _MILLION * ppm // _MILLION
        )  # so that no product leaves 64 bits
        return np.asarray(np.maximum(share, _ROUNDING_MINOR), dtype=np.int64)


def match_converted(
    books: Books,
    external_rows: IntArray,
    ledger_rows: IntArray,
    pair: ReferencePair,
    *,
    rules: MatchRules,
    context: MatchContext,
) -> Outcome:
    """Pairs of converted amounts found through one reference pair."""
    agreement = books.agreement(pair, as_written=False)
    theirs = _explained_lines(books, _named(external_rows, agreement.external))
    if not len(theirs.units):
        return Outcome()
    known = np.unique(agreement.external[theirs.units.rows])
    ours = _converted_entries(
        books, agreement, ledger_rows[np.isin(agreement.ledger[ledger_rows], known)], rules
    )
    if not len(ours.principal):
        return Outcome()
    search = _Search(books=books, pair=pair, rules=rules, context=context, theirs=theirs, ours=ours)
    task = Pairing(
        books=books, external=theirs.units, ledger=ours.whole.units, match_pass=_NAME, gate=_gate(search)
    )
    decided = resolution.resolve(task, candidates.find(task, [agreement]))
    return Outcome(
        proposals=(_proposal(search, decided),) if len(decided) else (),
        undecided=(_undecided(search, decided),),
        limits=decided.limits,
    )


def _named(rows: IntArray, codes: IntArray) -> IntArray:
    return np.asarray(rows[codes[rows] > 0], dtype=np.int64)


def _explained_lines(books: Books, rows: IntArray) -> _Theirs:
    """Lines with an original amount in another asset that their own rate converts into what was booked."""
    side = books.external
    original, own = (side.column(name).take(pa.array(rows)) for name in ("original_asset", "asset"))
    elsewhere = np.asarray(kernel.fill_null(kernel.not_equal(original, own), False), dtype=np.bool_)
    rows = rows[elsewhere]
    gross = side.amount_minor[rows] + side.integers("fee_minor")[rows]
    found = converted(side, rows, gross)
    sound = found.explains & (np.sign(gross) == np.sign(side.amount_minor[rows])) & (gross != 0)
    rows, gross = rows[sound], gross[sound]
    originals = np.asarray(
        side.column("original_amount_minor").take(pa.array(rows)).to_numpy(), dtype=np.int64
    )
    told = [side.content_codes(name, rows) for name in ("fx_rate", "fx_numerator", "fx_denominator")]
    units = Units(
        rows=rows,
        amount_minor=np.abs(originals) * np.sign(gross),
        business_date=side.business_date[rows],
        content=candidates.combined(side.amount_minor[rows], *told),
    )
    return _Theirs(units=units, gross_minor=gross, expected_minor=found.expected_minor[sound])


def _converted_entries(books: Books, agreement: Agreement, rows: IntArray, rules: MatchRules) -> _Ours:
    """Entries of which one line names an original amount, and all others take a fee off it."""
    side = books.ledger
    original = side.column("fx_amount_minor").take(pa.array(rows))
    is_converted = np.asarray(kernel.is_valid(original), dtype=np.bool_)
    reference = candidates.combined(agreement.ledger[rows], books.ledger_purse[rows])
    entries = candidates.combined(reference, side.integers("entry_id")[rows]) if len(rows) else rows
    whole = bundles.bundle(side, rows, entries)
    of = np.repeat(np.arange(len(whole.size)), whole.size)
    is_first = np.zeros(len(side), dtype=np.bool_)
    is_first[rows[is_converted]] = True
    is_first = is_first[whole.lines]
    single = np.bincount(of[is_first], minlength=len(whole.size)) == 1
    principal = np.zeros(len(whole.size), dtype=np.int64)
    principal[of[is_first]] = whole.lines[is_first]
    sign = np.sign(side.amount_minor[whole.lines])
    takes_off = is_fee_kind(side)[whole.lines] | (sign == -np.sign(side.amount_minor[principal])[of])
    odd = np.bincount(of[~is_first & ~takes_off], minlength=len(whole.size)) > 0
    at = np.flatnonzero(single & ~odd & (whole.size <= rules.group_size_max))
    return _as_original(
        books, agreement, bundles.selected(side, whole, np.isin(np.arange(len(single)), at)), principal[at]
    )


def _as_original(books: Books, agreement: Agreement, whole: Bundles, principal: IntArray) -> _Ours:
    """The entries with their original amounts in place of ours, which is what both sides must agree in."""
    side, units = books.ledger, whole.units
    original = np.asarray(side.column("fx_amount_minor").take(pa.array(principal)).to_numpy(), dtype=np.int64)
    booked = side.amount_minor[principal]
    as_original = Bundles(
        units=Units(
            rows=units.rows,
            amount_minor=np.abs(original) * np.sign(booked),
            business_date=units.business_date,
        ),
        lines=whole.lines,
        start=whole.start,
        size=whole.size,
    )
    keys = agreement.ledger[units.rows], books.ledger_purse[units.rows]
    return _Ours(
        whole=bundles.told_apart(side, as_original, keys),
        principal=principal,
        fee_minor=booked - units.amount_minor,
    )


def _gate(search: _Search) -> Gate:
    books, theirs, ours = search.books, search.theirs, search.ours
    asset_of_theirs, asset_of_ours = shared_codes(
        books.external.column("original_asset").take(pa.array(theirs.units.rows)),
        books.ledger.column("fx_asset").take(pa.array(ours.principal)),
    )
    kept_back = books.external.integers("fee_minor")[theirs.units.rows]

    def admits(left: IntArray, right: IntArray) -> BoolArray:
        members = ours.whole.members(right)
        against = books.contradicts(theirs.units.rows[left][members.group], members.rows)
        clear = np.bincount(members.group[against], minlength=len(left)) == 0
        alike = (asset_of_theirs[left] == asset_of_ours[right]) & (kept_back[left] == ours.fee_minor[right])
        near = np.abs(search.rest_minor(left, right)) <= search.tolerance_minor(left)
        return np.asarray(clear & alike & near, dtype=np.bool_)

    def undone(left: IntArray, right: IntArray) -> BoolArray:
        group = Membership.single(theirs.units.rows[left]), ours.whole.members(right)
        return undone_pairs(books, search.context.rejected, *group, count=len(left))

    return Gate(admits=admits, undone=undone)


def _undecided(search: _Search, decided: Resolution) -> Undecided:
    found = decided.ambiguity
    members = search.ours.whole.members(found.ledger)
    return Undecided(
        match_pass=_NAME,
        external_rows=search.theirs.units.rows[found.external][members.group],
        ledger_rows=members.rows,
        component=found.component[members.group],
        reasons=found.reasons,
    )


def _proposal(search: _Search, decided: Resolution) -> Proposal:
    books, theirs, ours = search.books, search.theirs, search.ours
    order = np.argsort(decided.external, kind="stable")
    left, right = decided.external[order], decided.ledger[order]
    rows, ledger = theirs.units.rows[left], ours.whole.members(right)
    sums = Sums(
        external_minor=books.external.amount_minor[rows],
        ledger_minor=books.ledger.amount_minor[ours.principal[right]] - ours.fee_minor[right],
        external_date=theirs.units.business_date[left],
        ledger_date=ours.whole.units.business_date[right],
        external_count=np.ones(len(left), dtype=np.int64),
        ledger_count=ours.whole.size[right],
        twins_external=decided.twins_external[order],
        twins_ledger=decided.twins_ledger[order],
    )
    evidence = explanation(
        books,
        _NAME,
        sums,
        external_rows=rows,
        ledger_rows=ours.principal[right],
        pairs=[search.pair],
        extra={"fx": _told(search, left, right)},
    )
    return Proposal(
        match_pass=_NAME,
        external=Membership.single(rows),
        ledger=ledger,
        external_is_fee=search.rest_minor(left, right) != 0,
        ledger_is_fee=ledger.rows != ours.principal[right][ledger.group],
        evidence=evidence,
        residual_role="fx",
        ledger_residual_role="fee",
    )


def _told(search: _Search, left: IntArray, right: IntArray) -> Column:
    """What was converted at which rate, what that gives, and what is left between the two sides."""
    side, rows = search.books.external, search.theirs.units.rows[left]

    def said(name: str) -> Column:
        return side.column(name).take(pa.array(rows))

    def number(name: str) -> Column:
        return kernel.cast(said(name), pa.string())

    fee_minor = side.integers("fee_minor")[rows]
    fee = kernel.if_else(pa.array(fee_minor != 0), json_text.numbers(fee_minor), pa.scalar(None, pa.string()))
    return json_text.objects(
        {
            "booked_minor": json_text.numbers(search.theirs.gross_minor[left]),
            "expected_minor": json_text.numbers(search.theirs.expected_minor[left]),
            "fee_minor": fee,
            "ledger_minor": json_text.numbers(search.books.ledger.amount_minor[search.ours.principal[right]]),
            "original_asset": json_text.quoted(said("original_asset")),
            "original_minor": number("original_amount_minor"),
            "rate": json_text.quoted(said("fx_rate")),
            "rate_denominator": number("fx_denominator"),
            "rate_numerator": number("fx_numerator"),
            "rest_minor": json_text.numbers(search.rest_minor(left, right)),
            "tolerance_minor": json_text.numbers(search.tolerance_minor(left)),
        }
    )
