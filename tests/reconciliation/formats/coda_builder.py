"""Builds small CODA files; counts, sums and balances come out right unless a test changes them.

Amounts are in thousandths, as the standard writes them; positive is a credit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

ACCOUNT = "BE68539007547034"
ACCOUNT_FIELD = "2" + "{number}" + ACCOUNT.ljust(34) + "EUR"


def signed(thousandths: int) -> str:
    return f"{'1' if thousandths < 0 else '0'}{abs(thousandths):015d}"


@dataclass(kw_only=True)
class Item:
    """One movement, detail or part with its records; ``details`` of a movement share its sequence number."""

    amount: int
    code: str = "00150000"
    bank_ref: str = "BANK-1"
    valued: str = "161126"
    booked: str = "161126"
    text: str = ""
    structured: str = ""  # type and body
    customer_ref: str = ""
    bic: str = ""
    r_type: str = " "
    r_reason: str = ""
    account: str = ""
    name: str = ""
    information: list[tuple[str, str]] = field(default_factory=list)  # "0" or "1", and what it says
    details: list["Item"] = field(default_factory=list)
    third: bool = False

    def rows(self, numbers: str) -> list[str]:
        zone = (self.structured or self.text).ljust(149)
        kind = "1" if self.structured else "0"
        first = (
            f"21{numbers}{self.bank_ref:<21}{signed(self.amount)}{self.valued}{self.code}{kind}{zone[:53]}"
        )
        rows = [f"{first}{self.booked}0010"]
        has_third = bool(self.account or self.name or self.third or zone[106:].strip())
        if has_third or self.customer_ref or self.bic or self.r_type != " " or zone[53:].strip():
            second = f"22{numbers}{zone[53:106]}{self.customer_ref:<35}{self.bic:<11}   "
            rows.append(f"{second}{self.r_type}{self.r_reason:<4}".ljust(125))
        if has_third:
            rows.append(f"23{numbers}{self.account:<37}{self.name:<35}{zone[106:149]}".ljust(125))
        for structured, text in self.information:
            said = text.ljust(268)
            rows.append(f"31{numbers}{self.bank_ref:<21}{self.code}{structured}{said[:73]}".ljust(125))
            if said[73:].strip():
                rows.append(f"32{numbers}{said[73:178]}".ljust(125))
            if said[178:].strip():
                rows.append(f"33{numbers}{said[178:]}".ljust(125))
        ends = ["1 0"] * (len(rows) - 1) + ["0 0"]
        return [row + end for row, end in zip(rows, ends, strict=True)]


def movement_rows(items: Sequence[Item]) -> list[str]:
    rows = []
    for number, item in enumerate(items, start=1):
        rows += item.rows(f"{number % 10_000:04d}0000")
        for detail_no, detail in enumerate(item.details, start=1):
            rows += detail.rows(f"{number % 10_000:04d}{detail_no % 10_000:04d}")
    return rows


def statement(
    items: Sequence[Item],
    *,
    opening: int = 100_000,
    account: str = "2{number}" + ACCOUNT.ljust(34) + "EUR",
    sequence: str = "007",
    created: str = "161126",
    first_day: str = "151126",
    last_day: str = "161126",
    header: str = "",
    messages: Sequence[str] = (),
    last: bool = True,
    closing_record: bool = True,
) -> list[str]:
    """Records 0 to 9 of one account; ``account`` is structure, place of the paper number, account and currency."""
    structure, fields = account[0], account[1:].replace("{number}", "")
    closing = opening + sum(item.amount for item in items)
    head = f"00000{created}12305{header or ' ' * 9}FILE-1    ACME SA".ljust(60) + "KREDBEBB   "
    rows = [
        head.ljust(83) + "00000".ljust(44) + "2",
        f"1{structure}001{fields}{signed(opening)}{first_day}ACME SA".ljust(125) + sequence,
        *movement_rows(items),
    ]
    if closing_record:
        rows.append(f"8001{fields}{signed(closing)}{last_day}".ljust(127) + "0")
    count = len(rows) - 1
    rows += [
        f"4 {number:04d}0000".ljust(32) + text.ljust(95) + "0"
        for number, text in enumerate(messages, start=1)
    ]
    debited = sum(-item.amount for item in items if item.amount < 0)
    credited = sum(item.amount for item in items if item.amount > 0)
    tail = f"9{'':15}{count:06d}{debited:015d}{credited:015d}"
    return [*rows, tail.ljust(127) + ("2" if last else "1")]


def good_file() -> list[str]:
    """A transfer of three records, a charge of one."""
    transfer = Item(
        amount=25_500,
        text="INVOICE 7",
        customer_ref="E2E-7",
        bic="GEBABEBB",
        account="BE22313215646432",
        name="CLIENT",
    )
    return statement([transfer, Item(amount=-12_010, code="08002006", bank_ref="BANK-2", text="CHARGES")])
