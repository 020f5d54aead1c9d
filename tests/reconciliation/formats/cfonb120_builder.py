"""Builds small CFONB 120 files; the new balance comes out right unless a test changes it."""

from dataclasses import dataclass, field

BANK, BRANCH, NUMBER = "12345", "00001", "00012345678"
ACCOUNT = BANK + BRANCH + NUMBER
CREDIT, DEBIT = "{ABCDEFGHI", "}JKLMNOPQR"


def punched(minor: int) -> str:
    """Fourteen characters, the last one the digit with the sign."""
    units, last = divmod(abs(minor), 10)
    return f"{units:013d}{(DEBIT if minor < 0 else CREDIT)[last]}"


def record(
    kind: str, *, number: str = NUMBER, currency: str = "EUR", decimals: str = "2", code: str = ""
) -> str:
    """The first 34 characters, which all records share."""
    return f"{kind}{BANK}{code[2:]:<4}{BRANCH}{currency}{decimals} {number}{code[:2]:<2}"


def balance(kind: str, minor: int, day: str, **which: str) -> str:
    return (record(kind, **which) + day).ljust(90) + punched(minor).ljust(30)


@dataclass(kw_only=True)
class Item:
    """One movement in minor units with sign: record 04, and a record 05 for each qualifier and content."""

    minor: int
    code: str = "050001"
    booked: str = "161126"
    valued: str = "171126"
    label: str = "VIR ACME"
    entry: str = "0000000"
    zone: str = ""
    reject: str = "  "
    complements: list[tuple[str, str]] = field(default_factory=list)
    punch: str | None = None

    def rows(self, **which: str) -> list[str]:
        start = record("04", code=self.code, **which) + self.booked
        text = f"{start}{self.reject}{self.valued}{self.label:<31}  {self.entry}  "
        rows = [text + (self.punch or punched(self.minor)) + f"{self.zone:<16}"]
        start = record("05", code=self.code, **which) + self.booked
        rows += [f"{start}     {name:<3}{content}".ljust(120) for name, content in self.complements]
        return rows


def statement(
    items: list[Item],
    *,
    opening: int = 10_000,
    first_day: str = "151126",
    last_day: str = "161126",
    **which: str,
) -> list[str]:
    closing = opening + sum(item.minor for item in items)
    return [
        balance("01", opening, first_day, **which),
        *(row for item in items for row in item.rows(**which)),
        balance("07", closing, last_day, **which),
    ]


def good_file() -> list[str]:
    """One statement, a credit with two complements and a charge."""
    credit = Item(minor=2_550, complements=[("NPY", "CLIENT ONE"), ("RCN", "INV-7")])
    return statement([credit, Item(minor=-1_201, code="620117", label="FRAIS")])
