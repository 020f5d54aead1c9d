"""What all searches for groups without ids share: the payout lines, the members each may have, what makes two alike.

A payout line is an external line of the kind that a rule names; its members are open ledger lines of the same purse,
dated on its day or up to ``lag_days_max`` before. Members are alike when kind, counterparty, amount, day and every
reference that anything on the other side could answer are equal: which of them is taken changes nothing. Decides
nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
import pyarrow as pa

from reconciliation.matching.books import Agreement, Books
from reconciliation.matching.candidates import combined, partners
from reconciliation.matching.columns import BoolArray, IntArray, kernel
from reconciliation.matching.context import MatchContext
from reconciliation.matching.proposals import Membership, undone_pairs
from reconciliation.matching.references import ABSENT
from reconciliation.matching.result import Limit
from reconciliation.matching.subset_sums import MICRO
from reconciliation.sources import EXTERNAL_REFERENCE_COLUMNS, GroupRule, MatchRules

GROUPING_COLUMNS: Final = ("batch_ref", "ref_payout")
"""Columns that name the whole a member belongs to: there, a different value on the payout line speaks against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What explains a payout line. ``members``: ledger rows of the first explanation; ``others``: of up to two more.

    ``claimed`` and ``claimed_count``: units that some explanation takes, and the most it takes of each; in a search by
    content a unit is a class of alike lines, named by its first row, else a single row. ``expected_micro``: how many
    explanations chance alone would give, in millionths. ``why``: what speaks against it although it is the only one.
    ``after``: the payout line whose run this one starts behind.
    """

    payout: int
    members: IntArray
    solutions: int
    candidates: int
    expected_micro: int | None
    claimed: IntArray
    claimed_count: IntArray
    others: tuple[IntArray, ...] = ()
    why: str | None = None
    after: int | None = None
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a step found for one rule, and the bounds it met."""

    findings: tuple[Finding, ...] = ()
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One rule's payout lines and possible members. ``members`` are sorted by purse, then canonically.

    ``alike[row]``: the first ledger row that cannot be told apart from this one; -1 for rows that are no member.
    """

    step: str
    books: Books
    rule: GroupRule
    rules: MatchRules
    context: MatchContext
    payouts: IntArray
    members: IntArray
    alike: IntArray
    named: tuple[tuple[Agreement, IntArray], ...]  # per reference pair, codes that open external lines carry

    @classmethod
    def open(
        cls,
        step: str,
        books: Books,
        rule: GroupRule,
        *,
        external_rows: IntArray,
        ledger_rows: IntArray,
        rules: MatchRules,
        context: MatchContext,
    ) -> Self:
        """The payout lines of the rule and everything that could be a member of one."""
        kinds = books.external.column("kind").take(pa.array(external_rows))
        is_payout = np.asarray(kernel.equal(kinds, rule.kind).to_numpy(zero_copy_only=False), dtype=np.bool_)
        payouts = external_rows[is_payout & (books.external.amount_minor[external_rows] != 0)]
        members = _members(books, rule, payouts, ledger_rows, whole=step == "key_sum")
        return cls(
            step=step,
            books=books,
            rule=rule,
            rules=rules,
            context=context,
            payouts=payouts,
            members=members,
            alike=_alike(books, members),
            named=_named(books, external_rows) if len(payouts) else (),
        )

    def window(self, payout: int) -> IntArray:
        """Rows that may be members of this payout line, in canonical order."""
        books = self.books
        purses = books.ledger_purse[self.members]
        first, last = (
            int(np.searchsorted(purses, books.external_purse[payout], side=side))
            for side in ("left", "right")
        )
        rows = self.members[first:last]
        days, day = books.ledger.business_date[rows], int(books.external.business_date[payout])
        earliest = int(np.searchsorted(days, day - self.rule.lag_days_max, side="left"))
        rows = rows[earliest : int(np.searchsorted(days, day, side="right"))]
        rows = rows[books.ledger.amount_minor[rows] != 0]  # whether a zero belongs to it nothing can tell
        kept: IntArray = rows[~self.barred(np.full(len(rows), payout), rows)]
        return kept

    def cursor(self, payout: int) -> str | None:
        """The order key of the last member that a run of this line's account took."""
        return self.context.chain_cursors.get(self.books.external.column("account")[payout].as_py())

    def amount(self, payout: int) -> int:
        """What the members must sum to."""
        return int(self.books.external.amount_minor[payout])

    def barred(self, payouts: IntArray, rows: IntArray) -> BoolArray:
        """Which pairs of payout line and member name two different wholes."""
        found = np.zeros(len(rows), dtype=np.bool_)
        for column in set(self.books.own_name_columns()) & set(GROUPING_COLUMNS):
            agreement, sound_external, sound_ledger = self.books.well_formed(column)
            both = sound_external[payouts] & sound_ledger[rows]
            found |= both & (agreement.external[payouts] != agreement.ledger[rows])
        return found

    def is_undone(self, payout: int, rows: IntArray) -> bool:
        """Whether people took exactly this group apart."""
        if not self.context.rejected:
            return False
        external = Membership.single(np.array([payout], dtype=np.int64))
        ledger = Membership(group=np.zeros(len(rows), dtype=np.int64), rows=np.sort(rows))
        return bool(undone_pairs(self.books, self.context.rejected, external, ledger, count=1)[0])

    def chance(self, expected_micro: int) -> str | None:
        """Whether an explanation that was searched for among many says too little, in a sentence.

        A line whose members are not all booked meets an accidental one as often as chance gives them. So what is the
        only one must carry ``confirm_bits`` beyond the logarithm of its rivals, as a weighed pair must.
        """
        if expected_micro << self.rules.confirm_bits <= MICRO:
            return None
        return (
            f"chance alone gives {decimal_text(expected_micro)} such explanations; "
            f"one found is confirmed below 1 in {1 << self.rules.confirm_bits}"
        )

    def objection(self, payout: int, rows: IntArray) -> str | None:
        """What in the references speaks against this group although the sum ties, in a sentence."""
        elsewhere = np.zeros(len(rows), dtype=np.bool_)
        for agreement, codes in self.named:
            own = agreement.ledger[rows]
            elsewhere |= np.isin(own, codes) & (own != agreement.external[payout])
        if elsewhere.any():
            return f"{int(elsewhere.sum())} of the members carry a reference that another open line names"
        if len(rows) and self.books.contradicts(np.full(len(rows), payout), rows).all():
            return "the line and every member carry identifying references, and none of them agree"
        return None

    def limit(self, payout: int, what: str, *, members: int, limit: int) -> Limit:
        """A bound met around this payout line."""
        external = self.books.external
        names = dict.fromkeys((*(pair.external for pair in self.books.references), *GROUPING_COLUMNS))
        values = (external.reference(name)[payout].as_py() for name in names)
        return Limit(
            match_pass=self.step,
            what=what,
            account=external.column("account")[payout].as_py(),
            asset=external.column("asset")[payout].as_py(),
            reference=next((value for value in values if value), external.column("line_key")[payout].as_py()),
            external_count=1,
            ledger_count=members,
            limit=limit,
        )


def classes_of(search: Search, rows: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Classes of alike rows in canonical order: the first row of each, its amount, how many there are."""
    classes, first, sizes = np.unique(search.alike[rows], return_index=True, return_counts=True)
    return classes, search.books.ledger.amount_minor[rows[first]], sizes.astype(np.int64)


def rows_taken(search: Search, rows: IntArray, classes: IntArray, taken: IntArray) -> IntArray:
    """The first ``taken`` rows of each class, among ascending rows."""
    place = np.searchsorted(classes, search.alike[rows])
    order = np.argsort(place, kind="stable")
    ordered = place[order]
    number = np.empty(len(rows), dtype=np.int64)
    number[order] = np.arange(len(rows)) - np.searchsorted(ordered, ordered, side="left")
    return rows[number < taken[place]]


def decimal_text(micro: int) -> str:
    """Millionths as a decimal number: ``41`` is 0.000041."""
    return f"{micro // MICRO}.{micro % MICRO:06d}"


def _members(
    books: Books, rule: GroupRule, payouts: IntArray, ledger_rows: IntArray, *, whole: bool
) -> IntArray:
    """Ledger rows in the purse and the days of any payout line, of a kind the rule allows.

    ``whole``: of any day, since a batch is complete only with what came too early or too late for the line.
    """
    if not len(payouts):
        return np.empty(0, dtype=np.int64)
    days = books.external.business_date[payouts]
    day, purse = books.ledger.business_date[ledger_rows], books.ledger_purse[ledger_rows]
    keep = np.isin(purse, books.external_purse[payouts])
    if not whole:
        keep &= (day >= int(days.min()) - rule.lag_days_max) & (day <= int(days.max()))
    rows = ledger_rows[keep]
    if rule.member_kinds:
        kinds = books.ledger.column("kind").take(pa.array(rows))
        allowed = kernel.is_in(kinds, value_set=pa.array(rule.member_kinds, pa.string()))
        rows = rows[np.asarray(allowed.to_numpy(zero_copy_only=False), dtype=np.bool_)]
    return rows[np.argsort(books.ledger_purse[rows], kind="stable")]


def _alike(books: Books, members: IntArray) -> IntArray:
    alike = np.full(len(books.ledger), -1, dtype=np.int64)
    if not len(members):
        return alike
    rows = np.sort(members)
    side = books.ledger
    telling = (name for name in EXTERNAL_REFERENCE_COLUMNS if _tells(books, name))
    names = (*side.content, "corrects_entry_key", *telling)
    codes = combined(
        side.amount_minor[rows],
        side.business_date[rows],
        books.ledger_purse[rows],
        *(side.content_codes(name, rows) for name in names),
    )
    first, inverse = np.unique(codes, return_index=True, return_inverse=True)[1:]
    alike[rows] = rows[first[inverse]]
    return alike


def _tells(books: Books, name: str) -> bool:
    """Whether a reference tells members apart: it names a whole, or the other side has something to answer it."""
    answers = (books.external.reference(partner) for partner in partners(books, name, of_external=False))
    return name in GROUPING_COLUMNS or any(values.null_count < len(values) for values in answers)


def _named(books: Books, external_rows: IntArray) -> tuple[tuple[Agreement, IntArray], ...]:
    """What open external lines name, per reference pair, as codes."""
    agreements = [books.agreement(pair, as_written=False) for pair in books.references]
    codes = [np.unique(agreement.external[external_rows]) for agreement in agreements]
    return tuple((agreement, code[code != ABSENT]) for agreement, code in zip(agreements, codes, strict=True))
