"""Builds small Cuaderno 43 files; counts, sums and balances come out right unless a test changes them."""

from dataclasses import dataclass, field

ACCOUNT = "008102000001234567"


@dataclass(kw_only=True)
class Item:
    """One movement: minor units with sign, as records 22, 23 and 24."""

    minor: int
    booked: str = "261116"
    valued: str = "261117"
    concept: str = "04"
    own_concept: str = "007"
    document: str = ""
    first_ref: str = ""
    second_ref: str = ""
    texts: list[str] = field(default_factory=list)
    original: tuple[str, int] | None = None

    def rows(self) -> list[str]:
        key = "1" if self.minor < 0 else "2"
        head = (
            f"22    0200{self.booked}{self.valued}{self.concept}{self.own_concept}{key}{abs(self.minor):014d}"
        )
        rows = [head + f"{self.document:0>10}{self.first_ref:<12}{self.second_ref:<16}"]
        rows += [f"23{number:02d}{text}".ljust(80) for number, text in enumerate(self.texts, start=1)]
        if self.original is not None:
            rows.append(f"2401{self.original[0]}{self.original[1]:014d}".ljust(80))
        return rows


def account(
    items: list[Item],
    *,
    opening: int = 10_000,
    key: str = ACCOUNT,
    first_day: str = "261116",
    last_day: str = "261116",
    currency: str = "978",
) -> list[str]:
    closing = opening + sum(item.minor for item in items)
    debited = [-item.minor for item in items if item.minor < 0]
    credited = [item.minor for item in items if item.minor >= 0]
    head = f"11{key}{first_day}{last_day}{'1' if opening < 0 else '2'}{abs(opening):014d}{currency}3ACME SL"
    foot = (
        f"33{key}{len(debited):05d}{sum(debited):014d}{len(credited):05d}{sum(credited):014d}"
        f"{'1' if closing < 0 else '2'}{abs(closing):014d}{currency}"
    )
    return [head.ljust(80), *(row for item in items for row in item.rows()), foot.ljust(80)]


def aeb43_file(*accounts: list[str]) -> list[str]:
    rows = [row for one in accounts for row in one]
    return [*rows, f"88{'9' * 18}{len(rows):06d}".ljust(80)]


def good_file() -> list[str]:
    """One account, a credit and a debit of two records each."""
    return aeb43_file(
        account(
            [
                Item(minor=2_550, second_ref="INV-7", texts=["TRANSFER FROM CLIENT ONE"]),
                Item(minor=-1_200, concept="17", texts=["MONTHLY CHARGES"]),
            ]
        )
    )
