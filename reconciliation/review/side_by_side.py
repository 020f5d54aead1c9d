"""Two sides of one case, field beside field: what agrees, what differs, and the difference that must reach zero.

    theirs                 ours
    end to end  A-17       A-17       same
    amount      99.63      100.00     0.37 apart
    booked      11 Nov     9 Nov      2 days later than ours

Law: what is shown follows from the lines alone, in one order, whatever order they came in. Reads no store, writes no
markup.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from reconciliation.vocabulary import REFERENCE_COLUMNS

REFERENCE_WORDS: Final = {
    "ref_end_to_end": "End to end",
    "ref_uetr": "UETR",
    "ref_servicer": "Servicer",
    "ref_psp": "Processor",
    "ref_merchant": "Merchant",
    "ref_payout": "Payout",
    "ref_arn": "ARN",
    "ref_rrn": "RRN",
    "ref_auth_code": "Authorisation",
}

_TEXTS: Final = (
    ("Counterparty", "counterparty"),
    ("Kind", "kind"),
    ("Text", "text"),
    ("Asset", "asset"),
    ("Account", "account"),
)

SAME: Final = "same"
DIFFERS: Final = "differs"
ONLY_THEIRS: Final = "only theirs"
ONLY_OURS: Final = "only ours"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookLine:
    """One line of either book. ``key`` and ``number`` are line key and version, or entry key and line number."""

    side: str
    key: str
    number: int
    account: str
    asset: str
    amount_minor: int
    day: date
    value_date: date | None = None
    kind: str | None = None
    counterparty: str | None = None
    text: str | None = None
    fee_minor: int = 0
    references: tuple[
        tuple[str, str], ...
    ] = ()  # column and value, in the order of the vocabulary; batch_ref last
    role: str = "principal"
    exception_id: int | None = None  # the open exception that holds it
    origin: str = ""  # file and record, or who posted it
    problem: str | None = None  # why it cannot be matched now

    @property
    def name(self) -> str:
        """How forms and addresses call it: side, key and number."""
        return f"{self.side}:{self.key}/{self.number}"

    @property
    def place(self) -> tuple[str, str, int]:
        """What makes it the same line, whatever its role."""
        return self.side, self.key, self.number

    @property
    def reference(self) -> str | None:
        """The first reference it carries."""
        return self.references[0][1] if self.references else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of both sides. ``kind`` tells how a value is shown: text, date or money."""

    label: str
    kind: str
    external: str | date | int | None
    ledger: str | date | int | None
    state: str
    note: str = ""
    apart_minor: int = 0  # of money that differs: theirs less ours

    @property
    def differs(self) -> bool:
        """Whether somebody should look at it."""
        return self.state == DIFFERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What both sides come to in one asset. The difference is theirs less ours."""

    asset: str
    external_minor: int
    ledger_minor: int
    owned: bool  # a line with the role of a fee, of fx or of rounding says why they differ

    @property
    def difference_minor(self) -> int:
        return self.external_minor - self.ledger_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Lines of both books, each side in canonical order."""

    external: tuple[BookLine, ...] = ()
    ledger: tuple[BookLine, ...] = ()
    fields: tuple[Field, ...] = field(init=False)
    totals: tuple[Total, ...] = field(init=False)

    def __post_init__(self) -> None:
        for name in ("external", "ledger"):
            object.__setattr__(self, name, tuple(sorted(getattr(self, name), key=_canonical)))
        object.__setattr__(self, "fields", _fields(self.external, self.ledger))
        object.__setattr__(self, "totals", _totals((*self.external, *self.ledger)))

    @classmethod
    def of(cls, lines: Iterable[BookLine]) -> "Sides":
        """The lines by their side; a line that comes twice counts once."""
        once = {line.place: line for line in lines}
        return cls(
            external=tuple(line for line in once.values() if line.side == "external"),
            ledger=tuple(line for line in once.values() if line.side == "ledger"),
        )

    @property
    def lines(self) -> tuple[BookLine, ...]:
        """All of them, theirs first."""
        return (*self.external, *self.ledger)

    @property
    def is_pair(self) -> bool:
        """Whether at most one line stands on each side, so that fields can stand beside each other."""
        return len(self.external) <= 1 and len(self.ledger) <= 1

    @property
    def difference_minor(self) -> int:
        """Theirs less ours; of several assets, of the first that does not tie."""
        return next((total.difference_minor for total in self.totals if total.difference_minor), 0)

    @property
    def asset(self) -> str | None:
        """The asset that the difference is in."""
        open_totals = [total.asset for total in self.totals if total.difference_minor]
        return next(iter(open_totals or [total.asset for total in self.totals]), None)

    @property
    def refusal(self) -> str | None:
        """Why the lines cannot be proposed as one match; None where they can."""
        if not self.external or not self.ledger:
            return "a match needs lines of both sides"
        if len({(line.account, line.asset) for line in self.lines}) > 1:
            return "a match is of one account and asset"
        barred = next((line for line in self.lines if line.problem), None)
        if barred is not None:
            return f"{barred.key}: {barred.problem}"
        if self.difference_minor and not self.totals[0].owned:
            return "the sides differ, and no line owns the difference as fee, fx or rounding"
        return None


def _canonical(line: BookLine) -> tuple[date, str, int]:
    return line.day, line.key, line.number


def _totals(lines: Sequence[BookLine]) -> tuple[Total, ...]:
    found = []
    for asset in sorted({line.asset for line in lines}):
        mine = [line for line in lines if line.asset == asset]
        found.append(
            Total(
                asset=asset,
                external_minor=sum(line.amount_minor for line in mine if line.side == "external"),
                ledger_minor=sum(line.amount_minor for line in mine if line.side == "ledger"),
                owned=any(line.role != "principal" for line in mine),
            )
        )
    return tuple(found)


def _fields(external: Sequence[BookLine], ledger: Sequence[BookLine]) -> tuple[Field, ...]:
    """The fields of a pair, or of what there is of one; none where a side has several lines."""
    if len(external) > 1 or len(ledger) > 1 or not (external or ledger):
        return ()
    theirs, ours = next(iter(external), None), next(iter(ledger), None)
    rows = [_amount(theirs, ours), _booked(theirs, ours)]
    rows += _references(theirs, ours)
    for label, name in _TEXTS:
        rows.append(_text(label, name, theirs, ours))
    if theirs and theirs.value_date and theirs.value_date != theirs.day:
        rows.append(
            Field(label="Value date", kind="date", external=theirs.value_date, ledger=None, state=ONLY_THEIRS)
        )
    if theirs and theirs.fee_minor:
        rows.append(
            Field(
                label="Fee kept back", kind="money", external=theirs.fee_minor, ledger=None, state=ONLY_THEIRS
            )
        )
    return tuple(row for row in rows if _is_told(row))


def _is_told(row: Field) -> bool:
    """Whether a field says something; asset and account only where the sides are not of one."""
    if row.label in ("Asset", "Account") and row.state != DIFFERS:
        return False
    return row.external is not None or row.ledger is not None


def _amount(theirs: BookLine | None, ours: BookLine | None) -> Field:
    external = theirs.amount_minor if theirs else None
    ledger = ours.amount_minor if ours else None
    if theirs is None or ours is None:
        return Field(label="Amount", kind="money", external=external, ledger=ledger, state=_alone(external))
    apart = theirs.amount_minor - ours.amount_minor if theirs.asset == ours.asset else 0
    note = "opposite signs" if theirs.amount_minor == -ours.amount_minor and apart else ""
    state = SAME if theirs.asset == ours.asset and not apart else DIFFERS
    return Field(
        label="Amount",
        kind="money",
        external=external,
        ledger=ledger,
        state=state,
        note=note,
        apart_minor=apart,
    )


def _booked(theirs: BookLine | None, ours: BookLine | None) -> Field:
    external = theirs.day if theirs else None
    ledger = ours.day if ours else None
    if external is None or ledger is None:
        return Field(label="Date", kind="date", external=external, ledger=ledger, state=_alone(external))
    days = (external - ledger).days
    note = f"{days_in_words(abs(days))} {'later' if days > 0 else 'earlier'} than ours" if days else ""
    return Field(
        label="Date",
        kind="date",
        external=external,
        ledger=ledger,
        state=DIFFERS if days else SAME,
        note=note,
    )


def _references(theirs: BookLine | None, ours: BookLine | None) -> list[Field]:
    """References column by column; one that stands under another name on the other side is the same all the same."""
    external, ledger = dict(theirs.references if theirs else ()), dict(ours.references if ours else ())
    pair = theirs is not None and ours is not None
    rows = []
    for column in (*REFERENCE_COLUMNS, "batch_ref"):
        label = REFERENCE_WORDS.get(column, "Batch")
        row = _plain(label, external.get(column), ledger.get(column), pair=pair)
        if row.state in (ONLY_THEIRS, ONLY_OURS) and pair:
            value, others, whose = (
                (row.external, ledger, "our") if row.state == ONLY_THEIRS else (row.ledger, external, "their")
            )
            other = next((name for name, held in others.items() if held == value), None)
            if other is not None:
                words = REFERENCE_WORDS.get(other, "Batch").lower()
                row = Field(label=label, kind="text", external=row.external, ledger=row.ledger, state=SAME,
                    note=f"as {whose} {words} reference")  # fmt: skip
        rows.append(row)
    return rows


def _text(label: str, name: str, theirs: BookLine | None, ours: BookLine | None) -> Field:
    external, ledger = (getattr(line, name) if line else None for line in (theirs, ours))
    return _plain(label, external or None, ledger or None, pair=bool(theirs and ours))


def _plain(label: str, external: str | None, ledger: str | None, *, pair: bool) -> Field:
    if external is None or ledger is None or not pair:
        return Field(label=label, kind="text", external=external, ledger=ledger, state=_alone(external))
    if external == ledger:
        return Field(label=label, kind="text", external=external, ledger=ledger, state=SAME)
    near, far = _normal(external), _normal(ledger)
    note = ""
    if near == far:
        return Field(
            label=label, kind="text", external=external, ledger=ledger, state=SAME, note="written otherwise"
        )
    if near and far and (near in far or far in near):
        note = "one is part of the other"
    return Field(label=label, kind="text", external=external, ledger=ledger, state=DIFFERS, note=note)


def _alone(external: object) -> str:
    return ONLY_OURS if external is None else ONLY_THEIRS


def _normal(value: str) -> str:
    """Letters and digits alone, without case."""
    return "".join(character for character in value.casefold() if character.isalnum())


def days_in_words(days: int) -> str:
    """A number of days as people say it."""
    return "1 day" if days == 1 else f"{days} days"
