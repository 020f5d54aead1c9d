"""What a case may be matched with: each candidate with its score, its reasons in words, and why no pass took it.

    1   entry P-4711     29.398 points   same amount 14.024 · references one slip apart 12.204 · 2 days later 3.170
        not automatic: another choice is 2.100 bits behind it, and 12 are needed

Laws: the reasons' points add up to the score, always; the order follows from content alone; a suggestion of the engine
stands before anything that was only found near. Points are thousandths of a bit where the engine weighed, and the rule
of thumb below where it did not, which is said. Matches nothing and reads no store.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from reconciliation.review.side_by_side import REFERENCE_WORDS, BookLine, Sides, days_in_words

SHOWN: Final = 8
"""Candidates on a page; four of them have a key of their own."""

SAME_AMOUNT, NEAR_AMOUNT, OTHER_AMOUNT = 10_000, 4_000, -4_000
SAME_REFERENCE, PART_OF_REFERENCE, OTHER_REFERENCE = 12_000, 6_000, -12_000
SAME_NAME, OTHER_NAME = 4_000, -1_000
SAME_DAY, PER_DAY, FARTHEST = 3_000, 500, -6_000
NEAR_PERMILLE: Final = 20  # of the amount; a fee that was kept back is rarely more

_LIKENESS: Final = {
    "one slip apart": "references are one slip apart",
    "one is part of the other, or one number with another prefix": "one reference is part of the other",
    "named in the text": "our reference stands in their text",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One thing that speaks for a candidate or against it, with its points."""

    words: str
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """What else the engine considered."""

    words: str
    points: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A way to tie the case out. ``needed``: points at which the engine would have taken it, where it weighed."""

    name: str  # in addresses: ``match-12`` or ``line-ledger:E-9/1``
    origin: str  # suggested, own, near
    sides: Sides
    reasons: tuple[Reason, ...]
    why_not: str
    group_id: int | None = None
    match_pass: str | None = None
    needed: int | None = None
    is_weighed: bool = False
    alternatives: tuple[Alternative, ...] = ()

    @property
    def score(self) -> int:
        """The sum of the reasons' points."""
        return sum(reason.points for reason in self.reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A group that the engine suggests, as the store has it."""

    group_id: int
    match_pass: str
    evidence: Mapping[str, Any]
    lines: tuple[BookLine, ...]


def candidates_of(
    own: Sides, suggestions: Iterable[Suggestion], near: Iterable[BookLine], *, shown: int = SHOWN
) -> tuple[Candidate, ...]:
    """The candidates of a case, best first: what the engine suggests, then what lies near, ``shown`` at most."""
    suggested = sorted((_suggested(one) for one in suggestions), key=_order)
    taken = {frozenset(line.place for line in one.sides.lines) for one in suggested}
    places = frozenset(line.place for line in own.lines)
    found: list[Candidate] = []
    if own.external and own.ledger and places not in taken:
        found.append(_own(own))
    added = {line.place: line for line in near if line.place not in places}
    beside = [_near(own, line) for line in added.values()]
    beside = [one for one in beside if frozenset(line.place for line in one.sides.lines) not in taken]
    return tuple(suggested + found + sorted(_with_ties(beside), key=_order))[:shown]


def _order(candidate: Candidate) -> tuple[bool, int, tuple[tuple[str, str, int], ...]]:
    """Weighed ones first, the higher score first, then by content."""
    return not candidate.is_weighed, -candidate.score, tuple(line.place for line in candidate.sides.lines)


def _suggested(suggestion: Suggestion) -> Candidate:
    sides = Sides.of(suggestion.lines)
    evidence = suggestion.evidence
    bits = evidence.get("bits")
    weighed = _weighed_reasons(evidence, bits) if isinstance(bits, dict) else None
    return Candidate(
        name=f"match-{suggestion.group_id}",
        origin="suggested",
        sides=sides,
        reasons=facts(sides) if weighed is None else weighed,
        why_not=str(evidence.get("why_not_automatic") or "the engine left it to people"),
        group_id=suggestion.group_id,
        match_pass=suggestion.match_pass,
        needed=millipoints(bits.get("needed")) if isinstance(bits, dict) else None,
        is_weighed=weighed is not None,
        alternatives=tuple(_alternative(one) for one in evidence.get("alternatives") or ()),
    )


def _own(own: Sides) -> Candidate:
    why = own.refusal or "its lines are in doubt together, and only people may say that they belong together"
    return Candidate(name="own", origin="own", sides=own, reasons=facts(own), why_not=why)


def _near(own: Sides, line: BookLine) -> Candidate:
    sides = Sides.of((*own.lines, line))
    return Candidate(
        name=f"line-{line.name}",
        origin="near",
        sides=sides,
        reasons=facts(sides),
        why_not=_why_not_near(sides),
    )


def _with_ties(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Says so where several score the same: then nothing but chance would choose among them."""
    scores = [one.score for one in candidates]
    return [
        replace(one, why_not=f"{scores.count(one.score)} open lines fit equally well; {one.why_not}")
        if scores.count(one.score) > 1
        else one
        for one in candidates
    ]


def _weighed_reasons(evidence: Mapping[str, Any], bits: Mapping[str, Any]) -> tuple[Reason, ...]:
    """What the engine weighed, feature by feature; what it did not name is named as the rest, so that the sum holds."""
    points = {
        name: millipoints(bits.get(name)) or 0 for name in ("amount", "reference", "lag", "counterparty")
    }
    found = [
        Reason(words=_amount_words(evidence, points["amount"]), points=points["amount"]),
        Reason(words=_reference_words(evidence), points=points["reference"]),
        Reason(words=_lag_words(evidence, points["lag"]), points=points["lag"]),
        Reason(words=_name_words(points["counterparty"]), points=points["counterparty"]),
    ]
    rest = (millipoints(bits.get("total")) or 0) - sum(points.values())
    if rest:
        found.append(Reason(words="what the evidence does not name", points=rest))
    return tuple(reason for reason in found if reason.points)


def _amount_words(evidence: Mapping[str, Any], points: int) -> str:
    if evidence.get("fee"):
        return "the amount is what the fee schedule leaves of ours"
    return "same amount" if points >= 0 else "the amounts differ"


def _reference_words(evidence: Mapping[str, Any]) -> str:
    for reference in evidence.get("references") or ():
        value = reference.get("value") or reference.get("external_value")
        if value:
            return f"same reference {value}"
    return _LIKENESS.get(str(evidence.get("likeness")), "references are alike")


def _lag_words(evidence: Mapping[str, Any], points: int) -> str:
    days = int((evidence.get("dates") or {}).get("lag_days") or 0)
    return f"{_days(days)}, which is {'usual' if points > 0 else 'unusual'} here"


def _name_words(points: int) -> str:
    return "the names fit" if points > 0 else "the names do not fit"


def _alternative(told: Mapping[str, Any]) -> Alternative:
    """Another explanation in words: a pair that was weighed, or what another group would swap."""
    if "ledger" in told and "external" in told:
        words = (
            f"their line {told['external']} with our entry {told['ledger']} / {told.get('ledger_line_no', 1)}"
        )
        return Alternative(words=words, points=millipoints(told.get("bits")))
    parts = [f"{name.replace('_', ' ')} {_listed(value)}" for name, value in sorted(told.items()) if value]
    return Alternative(words="; ".join(parts) or "another set of lines", points=None)


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def facts(sides: Sides) -> tuple[Reason, ...]:
    """Points by rule of thumb for lines that the engine did not weigh."""
    found = [_amount_fact(sides), _reference_fact(sides), _day_fact(sides), _name_fact(sides)]
    return tuple(reason for reason in found if reason is not None and reason.points)


def _amount_fact(sides: Sides) -> Reason:
    difference = abs(sides.difference_minor)
    if len(sides.totals) > 1:
        return Reason(words="the lines are in different assets", points=OTHER_AMOUNT)
    if not difference:
        return Reason(
            words="same amount" if sides.is_pair else "both sides sum to the same amount", points=SAME_AMOUNT
        )
    largest = max((abs(line.amount_minor) for line in sides.lines), default=0)
    if difference * 1_000 <= largest * NEAR_PERMILLE:
        return Reason(words="the amounts are near each other", points=NEAR_AMOUNT)
    return Reason(words="the amounts differ", points=OTHER_AMOUNT)


def _reference_fact(sides: Sides) -> Reason | None:
    theirs = {value for line in sides.external for _, value in line.references}
    ours = {value for line in sides.ledger for _, value in line.references}
    shared = sorted(theirs & ours)
    if shared:
        return Reason(words=f"same reference {shared[0]}", points=SAME_REFERENCE)
    if any(_is_part(left, right) for left in theirs for right in ours):
        return Reason(words="one reference is part of the other", points=PART_OF_REFERENCE)
    contradiction = _contradiction(sides)
    return None if contradiction is None else Reason(words=contradiction, points=OTHER_REFERENCE)


def _contradiction(sides: Sides) -> str | None:
    """Two references of one name that are not the same: evidence against, whatever else agrees."""
    for line in sides.external:
        held = dict(line.references)
        for other in sides.ledger:
            for column, value in other.references:
                if column != "batch_ref" and held.get(column, value) != value:
                    words = REFERENCE_WORDS.get(column, column).lower()
                    return f"the {words} references contradict each other: {held[column]} and {value}"
    return None


def _is_part(left: str, right: str) -> bool:
    short, long = sorted((left, right), key=len)
    return len(short) >= 6 and short in long


def _day_fact(sides: Sides) -> Reason | None:
    if not sides.external or not sides.ledger:
        return None
    days = (max(line.day for line in sides.external) - max(line.day for line in sides.ledger)).days
    return Reason(words=_days(days), points=max(SAME_DAY - PER_DAY * abs(days), FARTHEST))


def _days(days: int) -> str:
    if not days:
        return "same day"
    return f"theirs is {days_in_words(abs(days))} {'later' if days > 0 else 'earlier'}"


def _name_fact(sides: Sides) -> Reason | None:
    theirs = {_letters(line.counterparty) for line in sides.external if line.counterparty}
    ours = {_letters(line.counterparty) for line in sides.ledger if line.counterparty}
    if not theirs or not ours:
        return None
    if theirs & ours:
        return Reason(words="same counterparty", points=SAME_NAME)
    return Reason(words="the counterparties are written differently", points=OTHER_NAME)


def _letters(name: str | None) -> str:
    return "".join(character for character in (name or "").casefold() if character.isalnum())


def _why_not_near(sides: Sides) -> str:
    contradiction = _contradiction(sides)
    if contradiction is not None:
        return contradiction
    if len(sides.totals) > 1:
        return "the lines are in different assets"
    if sides.difference_minor:
        return "the amounts are apart, and nothing explains it"
    return "no pass of the source's rules found enough in common to weigh it"


def millipoints(text: object) -> int | None:
    """Decimal text of bits as thousandths; None where it is none."""
    try:
        value = Decimal(str(text)) * 1_000
    except InvalidOperation:
        return None
    return int(value) if value.is_finite() and value == value.to_integral_value() else None
