"""What the readers of fixed-width bank statements share: records of one width, plain numbers, dates, statement chains.

Law: a field is where the standard puts it, or the file is refused; a record that is cut short is never read as if the
rest were blank, unless only optional text is missing. Refusals of a record name the field alone; ``placed`` adds the
line. Knows no standard and holds no more than one record.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from typing import BinaryIO, Final

from ledger_core.money import exponent_of, format_minor
from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats.canonical import CardTokens, ReadOptions
from reconciliation.formats.card_numbers import truncated
from reconciliation.formats.text_lines import text_lines
from reconciliation.formats.values import difference_in_words, exact_rate, refused, short_day_of, shown

Record = tuple[int, int, int, str]
"""Line number, byte offset, length in bytes, text of exactly the width."""

STATEMENTS_MAX: Final = 100_000
MINOR_MAX: Final = 2**63 - 1

_LINE_BYTES_MAX: Final = 1_024
_BLANKS: Final = " \t\x1a"  # 0x1A ended files under DOS and is still sent
_FETCH_AGAIN: Final = "The file is cut short or damaged; fetch it again from the bank."
_ENTRIES_MISSING: Final = "Records are missing, doubled or altered; ask the bank for the file again."


@dataclass(slots=True)
class Notes:
    """Tolerated deviations: how often each was seen and where first."""

    _seen: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, what: str, place: str) -> None:
        """Count one more of ``what``."""
        count, first = self._seen.get(what, (0, place))
        self._seen[what] = (count + 1, first)

    def texts(self) -> tuple[str, ...]:
        """One sentence per deviation, in order of first appearance."""
        return tuple(
            f"{what}: first at {first}" + (f", {count} times in all" if count > 1 else "")
            for what, (count, first) in self._seen.items()
        )


def records(
    stream: BinaryIO,
    options: ReadOptions,
    *,
    width: int,
    shortest: Callable[[str], int],
    notes: Notes,
) -> Iterator[Record]:
    """Records without blank lines. ``shortest`` says how long a record must be at least; the rest is blanks.

    Codes ``truncated``, ``structure`` and those of ``text_lines``. A record that has the width in bytes but fewer
    characters was measured before it became UTF-8: NULs, which no text holds, keep its fields in place.
    """
    lines = text_lines(stream, bytes_max=options.bytes_max, line_bytes_max=_LINE_BYTES_MAX)
    for line_no, (offset, length, text) in enumerate(lines, start=1):
        if len(text) != width:
            if not text.strip(_BLANKS):
                continue
            place = f"line {line_no}"
            if length == width:
                notes.add("records measured in bytes of UTF-8, not in characters", place)
                fitted = "".join(character + "\0" * (len(character.encode()) - 1) for character in text)
            else:
                fitted = _fitted(text, width, shortest(text), place)
                if len(text) < width:
                    notes.add(f"records shorter than {width} characters, read as ending in blanks", place)
            yield line_no, offset, length, fitted
        elif text[0] != " " or text.strip():
            yield line_no, offset, length, text


def _fitted(text: str, width: int, shortest: int, place: str) -> str:
    kept = text.rstrip(_BLANKS)
    if len(kept) > width:
        raise refused("structure", place, f"a record of {width} characters", f"{len(kept)}", _FETCH_AGAIN)
    if len(text) < shortest:
        expected = f"a record of {width} characters, {shortest} of them not optional"
        raise refused("truncated", place, expected, f"{len(text)}", _FETCH_AGAIN)
    return text[:width].ljust(width)


def placed(refusal: RefusedFile, place: str, options: ReadOptions) -> RefusedFile:
    """A refusal of a record with the line it stands in, card numbers masked."""
    masked = options.card_tokens.masked
    return RefusedFile(
        code=refusal.code,
        place=masked(f"{place}, {refusal.place}"),
        expected=refusal.expected,
        found=masked(refusal.found),
        remedy=refusal.remedy,
    )


def demanded(refusal: RefusedFile, place: str, options: ReadOptions) -> str:
    """The sentence to flag a failed proof with where a person waived it; else raises the refusal as it is."""
    if refusal.code not in options.waived:
        raise refusal
    return options.demand(placed(refusal, place, options))


def refuse_settings(name: str, settings: Mapping[str, str]) -> None:
    """``SourcesError`` for any setting, of a format that has none."""
    if settings:
        raise SourcesError(
            tuple(f"settings of {name}: {key} is not known; it takes none" for key in sorted(settings))
        )


def tidy(text: str) -> str:
    """Text of a field: no padding, single spaces.

    >>> tidy("RENT   NOVEMBER  ")
    'RENT NOVEMBER'
    """
    return " ".join((text.replace("\0", "") if "\0" in text else text).split())


def card_of(text: str, card_tokens: CardTokens) -> tuple[str, str | None] | None:
    """Token and truncated form of a reference that reads as a card number from end to end; else None."""
    if len(text) < 13 or not (text.isascii() and text.isdecimal()) or card_tokens.masked(text) == text:
        return None
    return card_tokens.token(text), truncated(text)


def number_of(digits: str, place: str) -> int:
    """A plain count of 1 to 18 digits. Code ``structure``."""
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 18):
        raise refused("structure", place, "a number in plain digits", shown(digits))
    return int(digits)


def day_month_year(text: str, place: str) -> date:
    """The date of six digits DDMMYY. Code ``date``.

    >>> day_month_year("161126", "record 8")
    datetime.date(2026, 11, 16)
    """
    day = _day_month_year(text)
    if day is None:
        raise refused("date", place, "a date as DDMMYY", shown(text))
    return day


@lru_cache(maxsize=4096)
def _day_month_year(text: str) -> date | None:
    try:
        return short_day_of(text[4:6] + text[2:4] + text[:2], "")
    except RefusedFile:
        return None


def directed_rate(
    amount: tuple[int, str], original: tuple[int, str], rate: str, *, decimals: int
) -> tuple[int, int] | None:
    """The rate as amount = original x numerator / denominator, whichever way round makes both amounts meet.

    None where neither way does, or both do: then the direction is not certain. The tolerance is one minor unit of
    each side, and half of the last of the decimals that the rate was stated with.

    >>> directed_rate((1000, "EUR"), (1100, "USD"), "1.1", decimals=4)
    (10, 11)
    """
    fraction = exact_rate(rate)
    if fraction is None or not amount[0] or not original[0]:
        return None
    # both sides in units of 10**-4, the smallest minor unit there is
    steps = 10 ** (4 - exponent_of(amount[1])), 10 ** (4 - exponent_of(original[1]))
    here, there = abs(amount[0]) * steps[0], abs(original[0]) * steps[1]
    rate_units = 2 * (fraction[0] * 10**decimals // fraction[1])
    ways = [
        (top, bottom)
        for top, bottom in {fraction, fraction[::-1]}
        if abs(here * bottom - there * top)
        <= steps[0] * bottom + steps[1] * top + there * top // max(rate_units, 1)
    ]
    if len(ways) != 1:
        return None
    common = math.gcd(*ways[0])
    top, bottom = ways[0][0] // common, ways[0][1] // common
    return (top, bottom) if max(top, bottom) <= MINOR_MAX else None


@dataclass(slots=True)
class StatementChain:
    """Statements of one account in one file: each opens with what the last one closed with, and none comes twice."""

    _last: dict[tuple[str, str], tuple[int, date]] = field(default_factory=dict)
    _refs: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _count: int = 0

    def ref_of(self, account: str, asset: str, ref: str) -> str:
        """The reference, with an ordinal where the file has several statements of that reference."""
        self._count += 1
        if self._count > STATEMENTS_MAX:
            raise refused("limit", "statement", f"at most {STATEMENTS_MAX} statements", "more")
        ordinal = self._refs[account, asset, ref] = self._refs.get((account, asset, ref), 0) + 1
        return ref if ordinal == 1 else f"{ref}/{ordinal}"

    def break_at(self, account: str, asset: str, opening_minor: int, place: str) -> RefusedFile | None:
        """The refusal of a statement that does not open with the closing balance of the one before."""
        last = self._last.get((account, asset))
        if last is None or last[0] == opening_minor:
            return None
        exponent = exponent_of(asset)
        return refused(
            "sequence",
            place,
            f"{format_minor(last[0], exponent)} {asset}, which the statement before closed with on {last[1]}",
            f"{format_minor(opening_minor, exponent)} {asset}",
            "A statement is missing, doubled or out of order; ask the bank for the file again.",
        )

    def close(self, account: str, asset: str, closing_minor: int, to_date: date) -> None:
        """Remember what a statement closed with."""
        self._last[account, asset] = (closing_minor, to_date)


def total_refusal(
    place: str, what: str, stated_minor: int, found_minor: int, asset: str
) -> RefusedFile | None:
    """The refusal of a stated total that the records do not add up to. Code ``control_total``."""
    if stated_minor == found_minor:
        return None
    exponent = exponent_of(asset)
    return refused(
        "control_total",
        place,
        f"{format_minor(stated_minor, exponent)} {asset}, as stated, to be the sum of the {what}",
        f"{format_minor(found_minor, exponent)} {asset}, {difference_in_words(stated_minor, found_minor, asset)}",
        _ENTRIES_MISSING,
    )


def count_refusal(place: str, what: str, stated: int, found: int) -> RefusedFile | None:
    """The refusal of a stated number of records. Code ``control_total``."""
    if stated == found:
        return None
    return refused("control_total", place, f"{stated} {what}, as stated", f"{found}", _ENTRIES_MISSING)


def balance_refusal(
    place: str, *, opening_minor: int, movement_minor: int, closing_minor: int, asset: str
) -> RefusedFile | None:
    """The refusal of a balance that opening and movements do not lead to. Code ``balance``."""
    found_minor = opening_minor + movement_minor
    if found_minor == closing_minor:
        return None
    exponent = exponent_of(asset)
    return refused(
        "balance",
        place,
        f"{format_minor(closing_minor, exponent)} {asset}, as stated",
        f"{format_minor(opening_minor, exponent)} + {format_minor(movement_minor, exponent)} = "
        f"{format_minor(found_minor, exponent)} {asset}, "
        f"{difference_in_words(closing_minor, found_minor, asset)}",
        _ENTRIES_MISSING,
    )


def balance_proof(
    *, opening_minor: int, movement_minor: int, closing_minor: int, count: int, asset: str
) -> str:
    """The proof of a balance in words."""
    exponent = exponent_of(asset)
    return (
        f"opening {format_minor(opening_minor, exponent)} + {count} movements "
        f"{format_minor(movement_minor, exponent)} = closing {format_minor(closing_minor, exponent)} {asset}"
    )


def day_after(opening_day: date, to_date: date) -> date:
    """First day of a statement whose opening balance is of the evening before; never after its last."""
    return min(opening_day + timedelta(days=1), to_date) if opening_day < date.max else to_date
