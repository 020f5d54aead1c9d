"""BAI2's sums and counts: what each level added up to, and what its trailer (49, 98, 99) says it should.

Law: the total of an account is the sum of every amount written in its 03 and 16 records, with the sign as written; a
group's is the sum of its accounts' trailers, a file's of its groups'. Counts are physical lines, 88s and the trailer
itself among them. What differs is refused, or flagged where a person waived it.
"""

from dataclasses import dataclass, field
from datetime import date

from ledger_core.money import MAX_AMOUNT_MINOR, exponent_of, format_minor
from reconciliation.formats.bai2_parts.records import Summary, signed
from reconciliation.formats.canonical import ReadOptions, Statement
from reconciliation.formats.notes import Notes
from reconciliation.formats.values import difference_in_words, refused, shown

_REMEDY = "Records are missing, doubled or changed; ask the sender for the file again."


@dataclass(slots=True)
class Level:
    """A file, group or account that is open: its sum, its lines and what it has below it."""

    place: str
    records: int  # physical lines so far, the header's among them
    total: int = 0
    parts: int = 0  # groups of a file, accounts of a group
    first_statement: int = 0


@dataclass(slots=True)
class Account:
    """The account that is open, with what its 16 records did to it."""

    level: Level
    number: str
    asset: str
    statement_ref: str
    day: date
    interim: bool
    readings: list[
        list[Summary]
    ]  # of the balances and summaries of its 03: the first one, and another possible one
    balances: dict[str, Summary] = field(default_factory=dict)
    sums: list[int] = field(default_factory=lambda: [0, 0])  # credits, debits in minor units, both positive
    counts: list[int] = field(default_factory=lambda: [0, 0])  # how many credits, how many debits
    info_count: int = 0

    def take_balances(self, stated_total: str) -> None:
        """Keep the reading of the 03 that the control total bears out, the first one if none does."""
        sums = [sum(amount for _, amount, _ in reading if amount is not None) for reading in self.readings]
        place = f"{self.level.place}, 49 control total"
        stated = signed(stated_total, place) if stated_total and len(sums) > 1 else None
        chosen = (
            1
            if stated is not None and stated == self.level.total + sums[-1] != self.level.total + sums[0]
            else 0
        )
        self.level.total += sums[chosen]
        for summary in self.readings[chosen]:
            code, amount, _ = summary
            if amount is None:
                continue
            known = self.balances.setdefault(code, summary)
            if known[1] != amount and code in {"010", "015"}:
                expected = f"one balance, {known[1]} as first stated"
                raise refused("structure", f"{self.level.place}, {code}", expected, f"{amount}")

    def statement(self, options: ReadOptions, notes: Notes, own: tuple[list[str], list[str]]) -> Statement:
        """The account's statement; ``own`` are the proofs and flags of its trailer."""
        proofs, flags = own
        movement = self.sums[0] - self.sums[1]
        if abs(movement) > MAX_AMOUNT_MINOR:
            raise refused("amount", self.level.place, "a sum of movements within 64 bits", "a larger one")
        opening, closing = self._balance("010"), self._balance("015")
        if opening is not None and closing is not None:
            flag = self._prove_balance(opening, closing, movement, options, proofs)
            if flag is not None:
                flags.append(flag)
                opening = closing = None
        self._compare_summaries(proofs, notes)
        return Statement(
            statement_ref=self.statement_ref,
            account=self.number,
            asset=self.asset,
            sequence_no=None,  # file ids of BAI2 start again every day
            from_date=self.day,
            to_date=self.day,
            opening_minor=opening,
            closing_minor=closing,
            movement_minor=movement,
            line_count=sum(self.counts),
            proofs=tuple(proofs),
            flags=tuple(flags),
            pending_count=self.info_count,
            interim=self.interim,
        )

    def _balance(self, code: str) -> int | None:
        return self.balances[code][1] if code in self.balances else None

    def _prove_balance(
        self, opening: int, closing: int, movement: int, options: ReadOptions, proofs: list[str]
    ) -> str | None:
        exponent = exponent_of(self.asset)
        words = (
            f"{format_minor(opening + movement, exponent)} {self.asset} (opening 010 "
            f"{format_minor(opening, exponent)} and {sum(self.counts)} movements of {format_minor(movement, exponent)})"
        )
        stated = f"{format_minor(closing, exponent)} {self.asset}"
        if opening + movement != closing:
            gap = difference_in_words(opening + movement, closing, self.asset)
            return options.demand(
                refused(
                    "balance", f"{self.level.place}, closing ledger 015", words, f"{stated}, {gap}", _REMEDY
                )
            )
        proofs.append(f"closing ledger 015 {stated} = {words}")
        return None

    def _compare_summaries(self, proofs: list[str], notes: Notes) -> None:
        """Totals 100 and 400: told where they agree; a bank may report fewer details than it sums up."""
        for code, name, index in (("100", "credits", 0), ("400", "debits", 1)):
            if code not in self.balances or self.balances[code][1] is None:
                continue
            _, amount, count = self.balances[code]
            found, number = self.sums[index], self.counts[index]
            if amount == found and (not count or int(count) == number):
                figure = format_minor(found, exponent_of(self.asset))
                proofs.append(f"total {name} {code}: {figure} {self.asset} in {number} movements")
            else:
                notes.add(
                    f"total {name} ({code}) that the account's movements do not add up to", self.level.place
                )


def check_total(
    level: Level, text: str, *, name: str, asset: str | None, options: ReadOptions, notes: Notes
) -> tuple[str | None, int]:
    """The flag, if the stated total is not the sum; and the total as the level above is to add it."""
    place = f"{level.place}, {name} control total"
    if not text:
        if level.total == 0:
            notes.add("control totals left blank where there is nothing to add up", level.place)
            return None, 0
        refusal = refused(
            "control_total", place, f"{level.total}, the sum of all amounts", "nothing", _REMEDY
        )
        return options.demand(refusal), level.total
    stated = signed(text, place)
    if stated == level.total:
        return None, stated
    gap = "" if asset is None else f", {difference_in_words(level.total, stated, asset)}"
    expected, found = f"{level.total}, the sum of all amounts", f"{stated}{gap}"
    return options.demand(refused("control_total", place, expected, found, _REMEDY)), stated


def check_count(level: Level, text: str, expected: int, *, name: str, options: ReadOptions) -> str | None:
    """The flag, if the stated number of lines or parts is another."""
    place = f"{level.place}, {name}"
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise refused("structure", place, "a number", shown(text))
    if text and int(text) == expected:
        return None
    return options.demand(
        refused("control_total", place, f"{expected}", str(int(text)) if text else "nothing", _REMEDY)
    )
