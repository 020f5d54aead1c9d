"""Pass ``net_of_fee``: the source reports what is left after its fee, the ledger books the sale and the fee apart.

For each configured reference pair (normalised), in this order:

1. the lines of one entry that share the reference sum to the external amount (sale and fee in one entry); 2. all open
lines that share it do (the fee was booked by another entry); 3. one ledger line equals the gross (external amount +
fee), no fee is booked under the reference, and a fee schedule explains the fee: a match with the fee as its
difference, the external member in the role of fee.

    external 97.00, fee 3.00     ledger +100.00 and -3.00 in one entry     1: difference 0 external 97.00, fee 3.00
    ledger +100.00, schedule gives 3.00       3: difference -3.00 external 97.00, fee 3.00     ledger +100.00 and
    -2.00                  no match: the fee differs, a matter for people
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from reconciliation.matching import bundles, candidates, fees, json_text, resolution
from reconciliation.matching.books import Agreement, Books
from reconciliation.matching.bundles import Bundles, is_fee_kind
from reconciliation.matching.candidates import Gate, Pairing, Units
from reconciliation.matching.columns import BoolArray, IntArray
from reconciliation.matching.one_to_one import line_gate, undecided_lines
from reconciliation.matching.proposals import (
    Membership,
    Outcome,
    Proposal,
    Sums,
    Undecided,
    explanation,
    undone_pairs,
)
from reconciliation.matching.resolution import Resolution
from reconciliation.matching.result import Limit
from reconciliation.sources import MatchRules, ReferencePair

_NAME: Final = "net_of_fee"

NetStep = Literal["entry", "reference", "schedule"]
NET_STEPS: Final[tuple[NetStep, ...]] = ("entry", "reference", "schedule")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """Open ledger rows that share a reference with an open external line, as bundles."""

    books: Books
    rules: MatchRules
    rejected: frozenset[str]
    pair: ReferencePair
    agreement: Agreement
    external_rows: IntArray
    ledger_rows: IntArray
    entries: Bundles  # one entry, one purse, one reference
    entry_of: IntArray  # parallel to ledger_rows: number of the row's entry bundle
    reference_of: IntArray  # parallel to ledger_rows: code of reference and purse


def pair_net_of_fee(
    books: Books,
    external_rows: IntArray,
    ledger_rows: IntArray,
    pair: ReferencePair,
    *,
    step: NetStep,
    rules: MatchRules,
    rejected: frozenset[str],
) -> Outcome:
    """Groups found through one reference pair in one of the three steps above."""
    agreement = books.agreement(pair, as_written=False)
    known = np.unique(agreement.external[external_rows])
    rows = ledger_rows[np.isin(agreement.ledger[ledger_rows], known[known > 0])]
    if not len(rows):
        return Outcome()
    reference_of = candidates.combined(agreement.ledger[rows], books.ledger_purse[rows])
    by_entry = candidates.combined(reference_of, books.ledger.integers("entry_id")[rows])
    entries = bundles.bundle(books.ledger, rows, by_entry)
    number = np.empty(len(books.ledger), dtype=np.int64)
    number[entries.lines] = np.repeat(np.arange(len(entries.size)), entries.size)
    search = _Search(
        books=books,
        rules=rules,
        rejected=rejected,
        pair=pair,
        agreement=agreement,
        external_rows=external_rows,
        ledger_rows=rows,
        entries=entries,
        entry_of=number[rows],
        reference_of=reference_of,
    )
    if step == "schedule":
        return _by_schedule(search)
    return _by_sum(search, entries if step == "entry" else bundles.bundle(books.ledger, rows, reference_of))


def _by_sum(search: _Search, whole: Bundles) -> Outcome:
    """External lines that equal the sum of a bundle of two lines or more."""
    books, size_max = search.books, search.rules.group_size_max
    limits = _too_large(search, whole)
    whole = bundles.selected(books.ledger, whole, (whole.size > 1) & (whole.size <= size_max))
    rows = whole.units.rows
    whole = bundles.told_apart(books.ledger, whole, (search.agreement.ledger[rows], books.ledger_purse[rows]))
    external = candidates.lines(books.external, search.external_rows)
    gate = _bundle_gate(search, external, whole)
    task = Pairing(books=books, external=external, ledger=whole.units, match_pass=_NAME, gate=gate)
    decided = resolution.resolve(task, candidates.find(task, [search.agreement]))
    return Outcome(
        proposals=(_sum_proposal(search, external, whole, decided),) if len(decided) else (),
        undecided=(_undecided_bundles(external, whole, decided),),
        limits=(*limits, *decided.limits),
    )


def _bundle_gate(search: _Search, external: Units, whole: Bundles) -> Gate:
    """As for lines: a bundle contradicts if one of its lines does."""

    def admits(left: IntArray, right: IntArray) -> BoolArray:
        members = whole.members(right)
        contradicting = search.books.contradicts(external.rows[left][members.group], members.rows)
        return np.asarray(np.bincount(members.group[contradicting], minlength=len(left)) == 0, dtype=np.bool_)

    def undone(left: IntArray, right: IntArray) -> BoolArray:
        group = Membership.single(external.rows[left]), whole.members(right)
        return undone_pairs(search.books, search.rejected, *group, count=len(left))

    return Gate(admits=admits, undone=undone)


def _too_large(search: _Search, whole: Bundles) -> list[Limit]:
    """Bundles beyond the size limit, each named by an external line that shares its reference."""
    books, rows, agreement = search.books, search.external_rows, search.agreement
    limits = []
    for at in np.flatnonzero(whole.size > search.rules.group_size_max):
        first = whole.units.rows[at]
        same = agreement.external[rows] == agreement.ledger[first]
        sharing = rows[same & (books.external_purse[rows] == books.ledger_purse[first])]
        if len(sharing):
            found = candidates.limit_at(
                books,
                int(sharing[0]),
                match_pass=_NAME,
                what="group_size",
                counts=(len(sharing), int(whole.size[at])),
                limit=search.rules.group_size_max,
            )
            limits.append(found)
    return limits


def _sum_proposal(search: _Search, external: Units, whole: Bundles, decided: Resolution) -> Proposal:
    books = search.books
    order = np.argsort(decided.external, kind="stable")
    left, right = decided.external[order], decided.ledger[order]
    rows, ledger = external.rows[left], whole.members(right)
    gross = external.amount_minor[left] + books.external.integers("fee_minor")[rows]
    amounts = books.ledger.amount_minor[ledger.rows]
    is_fee = is_fee_kind(books.ledger)[ledger.rows]
    is_gross = amounts == gross[ledger.group]
    has_gross = np.bincount(ledger.group[is_gross], minlength=len(left)) == 1
    is_fee |= has_gross[ledger.group] & ~is_gross
    fee_total = np.zeros(len(left), dtype=np.int64)
    np.add.at(fee_total, ledger.group[is_fee], amounts[is_fee])
    sums = Sums(
        external_minor=external.amount_minor[left],
        ledger_minor=whole.units.amount_minor[right],
        external_date=external.business_date[left],
        ledger_date=whole.units.business_date[right],
        external_count=np.ones(len(left), dtype=np.int64),
        ledger_count=whole.size[right],
        twins_external=decided.twins_external[order],
        twins_ledger=decided.twins_ledger[order],
    )
    fee = {
        "external_fee_minor": json_text.numbers(gross - external.amount_minor[left]),
        "external_gross_minor": json_text.numbers(gross),
        "ledger_fee_minor": json_text.numbers(fee_total),
        "ledger_principal_minor": json_text.numbers(sums.ledger_minor - fee_total),
    }
    first = whole.units.rows[right]
    evidence = explanation(
        books,
        _NAME,
        sums,
        external_rows=rows,
        ledger_rows=first,
        pairs=[search.pair],
        fee=json_text.objects(fee),
    )
    return Proposal(
        match_pass=_NAME,
        external=Membership.single(rows),
        ledger=ledger,
        external_is_fee=np.zeros(len(left), dtype=np.bool_),
        ledger_is_fee=is_fee,
        evidence=evidence,
    )


def _undecided_bundles(external: Units, whole: Bundles, decided: Resolution) -> Undecided:
    found = decided.ambiguity
    members = whole.members(found.ledger)
    return Undecided(
        match_pass=_NAME,
        external_rows=external.rows[found.external][members.group],
        ledger_rows=members.rows,
        component=found.component[members.group],
        reasons=found.reasons,
    )


def _by_schedule(search: _Search) -> Outcome:
    """External lines whose gross is one ledger line and whose fee a schedule explains."""
    if not search.rules.fees:
        return Outcome()
    books, schedules = search.books, search.rules.fees
    fee_minor = books.external.integers("fee_minor")
    rows = search.external_rows[fee_minor[search.external_rows] != 0]
    gross = books.external.amount_minor[rows] + fee_minor[rows]
    external = Units(rows=rows, amount_minor=gross, business_date=books.external.business_date[rows])
    ledger = candidates.lines(books.ledger, _gross_lines(search))
    lines = line_gate(books, external, ledger, search.rejected)

    def admits(left: IntArray, right: IntArray) -> BoolArray:
        charged = fee_minor[external.rows[left]]
        explained = fees.explains(schedules, _fee(search, external, ledger, left, right), charged)
        return lines.admits(left, right) & explained

    gate = Gate(admits=admits, undone=lines.undone)
    task = Pairing(books=books, external=external, ledger=ledger, match_pass=_NAME, gate=gate)
    decided = resolution.resolve(task, candidates.find(task, [search.agreement]))
    return Outcome(
        proposals=(_schedule_proposal(search, external, ledger, decided),) if len(decided) else (),
        undecided=(undecided_lines(external, ledger, decided, _NAME),),
        limits=decided.limits,
    )


def _gross_lines(search: _Search) -> IntArray:
    """Lines alone in their entry under this reference, where no entry books a fee alone under it."""
    entries, of = search.entries, search.entry_of
    is_fee = is_fee_kind(search.books.ledger)[search.ledger_rows]
    fee_alone = (np.bincount(of[is_fee], minlength=len(entries.size)) == entries.size)[of]
    key = search.reference_of
    has_fee = np.bincount(key[fee_alone], minlength=int(key.max()) + 1) > 0
    return np.asarray(search.ledger_rows[(entries.size == 1)[of] & ~has_fee[key]])


def _fee(
    search: _Search, external: Units, ledger: Units, left: IntArray, right: IntArray
) -> fees.ScheduledFee:
    """The scheduled fee by the ledger's date: the day of the sale says which version of the schedule holds."""
    rows = external.rows[left]
    return fees.scheduled_fee(
        search.rules.fees,
        asset=search.books.external.column("asset").take(rows),
        kind=search.books.external.column("kind").take(rows),
        days=ledger.business_date[right],
        gross_minor=external.amount_minor[left],
    )


def _schedule_proposal(search: _Search, external: Units, ledger: Units, decided: Resolution) -> Proposal:
    books, schedules = search.books, search.rules.fees
    order = np.argsort(decided.external, kind="stable")
    left, right = decided.external[order], decided.ledger[order]
    rows = external.rows[left], ledger.rows[right]
    ones = np.ones(len(left), dtype=np.int64)
    sums = Sums(
        external_minor=books.external.amount_minor[rows[0]],
        ledger_minor=ledger.amount_minor[right],
        external_date=external.business_date[left],
        ledger_date=ledger.business_date[right],
        external_count=ones,
        ledger_count=ones,
        twins_external=decided.twins_external[order],
        twins_ledger=decided.twins_ledger[order],
    )
    fee = {
        "external_fee_minor": json_text.numbers(sums.ledger_minor - sums.external_minor),
        "external_gross_minor": json_text.numbers(external.amount_minor[left]),
        **fees.schedule_fields(schedules, _fee(search, external, ledger, left, right)),
    }
    evidence = explanation(
        books,
        _NAME,
        sums,
        external_rows=rows[0],
        ledger_rows=rows[1],
        pairs=[search.pair],
        fee=json_text.objects(fee),
    )
    return Proposal(
        match_pass=_NAME,
        external=Membership.single(rows[0]),
        ledger=Membership.single(rows[1]),
        external_is_fee=ones == 1,
        ledger_is_fee=ones == 0,
        evidence=evidence,
    )
