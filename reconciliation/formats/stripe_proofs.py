"""What the rows of a Stripe report add up to: movement by currency, and every payout against its members.

Law: members of a payout + the payout itself = 0 wherever the file holds both. A payout that was made by hand has no
members, since Stripe cannot know what it is made of; one that came back is no part of its own sum.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import date

from ledger_core.money import MAX_AMOUNT_MINOR, exponent_of, format_minor
from reconciliation.errors import RefusedFile

_NOTES_MAX = 1_000
_REMEDY = "Run the report again; if it says the same, ask Stripe."


def refused(code: str, place: str, expected: str, found: str) -> RefusedFile:
    """A refusal of this format."""
    return RefusedFile(code=code, place=place, expected=expected, found=found, remedy=_REMEDY)


@dataclass(slots=True)
class CurrencyPart:
    """The rows of one currency."""

    from_date: date
    to_date: date
    movement_minor: int = 0
    line_count: int = 0
    accounts: set[str] = field(default_factory=set)

    def add(self, net_minor: int, booking_date: date, account: str | None) -> None:
        """Count one row."""
        self.movement_minor += net_minor
        self.line_count += 1
        self.from_date = min(self.from_date, booking_date)
        self.to_date = max(self.to_date, booking_date)
        if account is not None:
            self.accounts.add(account)


@dataclass(slots=True)
class _Payout:
    members_minor: int = 0
    member_count: int = 0
    paid_minor: int | None = None
    row_no: int = 0


class Proofs:
    """Sums while the rows go by; ``prove`` at the end."""

    def __init__(self) -> None:
        self.parts: dict[str, CurrencyPart] = {}
        self._payouts: dict[tuple[str, str], _Payout] = {}
        self._notes: set[str] = set()

    def note(self, text: str) -> None:
        """Remember what is tolerated; a file full of oddities is not told in full."""
        if len(self._notes) < _NOTES_MAX:
            self._notes.add(text)

    def notes(self) -> tuple[str, ...]:
        """Everything noted, in one order whatever the order of rows."""
        return tuple(sorted(self._notes))

    def add_to_part(self, currency: str, net_minor: int, booking_date: date, account: str | None) -> None:
        """Count a row in its currency."""
        part = self.parts.get(currency)
        if part is None:
            part = self.parts[currency] = CurrencyPart(booking_date, booking_date)
        part.add(net_minor, booking_date, account)

    def add_to_payout(
        self,
        payout_id: str | None,
        source_id: str | None,
        *,
        row_no: int,
        currency: str,
        category: str,
        net_minor: int,
    ) -> None:
        """Count a row in its payout, as a member or as the payout itself."""
        if payout_id is None:
            if category == "payout":
                self.note(
                    f"payout {(source_id or 'without id')[:40]}: made by hand, nothing says what it consists of"
                )
            return
        if category == "payout_reversal" and source_id == payout_id:
            self.note(f"payout {payout_id[:40]}: came back, which is no part of its own sum")
            return
        payout = self._payouts.setdefault((payout_id, currency), _Payout())
        if category == "payout":
            payout.paid_minor = (payout.paid_minor or 0) + net_minor
            payout.row_no = row_no
        else:
            payout.members_minor += net_minor
            payout.member_count += 1

    def payouts_named(self, currency: str) -> str:
        """What names the payouts of a currency together: the id of the only one, a digest of several, empty for none.

        Two reports of one day that pay out different payouts are two statements; the same payouts told again are a
        correction.
        """
        names = sorted(payout_id for payout_id, paid_in in self._payouts if paid_in == currency)
        if len(names) <= 1:
            return "".join(names)
        return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]

    def prove(self, *, payout_rows_required: bool) -> dict[str, tuple[str, ...]]:
        """Proofs in words by currency. Codes: ``control_total``, ``amount``, ``truncated`` (no payout row)."""
        proofs: dict[str, list[str]] = {}
        for currency, part in self.parts.items():
            if abs(part.movement_minor) > MAX_AMOUNT_MINOR:
                raise refused("amount", f"all rows in {currency}", "a sum within 64 bits", "more")
            proofs[currency] = [f"net = gross - fee in {part.line_count} rows"]
        for (payout_id, currency), payout in sorted(self._payouts.items()):
            exponent = exponent_of(currency)
            members = (
                f"{payout.member_count} rows of {format_minor(payout.members_minor, exponent)} {currency}"
            )
            if payout.paid_minor is None:
                if payout_rows_required:
                    raise refused(
                        "truncated", f"payout {payout_id[:40]}", "the row of the payout itself", "none"
                    )
                self.note(f"payout {payout_id[:40]}: not in the file itself, its {members} prove nothing")
                continue
            paid = format_minor(payout.paid_minor, exponent)
            rest_minor = payout.members_minor + payout.paid_minor
            if rest_minor:
                raise refused(
                    "control_total",
                    f"payout {payout_id[:40]} (row {payout.row_no})",
                    f"{format_minor(-payout.members_minor, exponent)} {currency}, against its {members}",
                    f"{paid} {currency}, which leaves {format_minor(rest_minor, exponent)}",
                )
            proofs[currency].append(f"payout {payout_id[:40]}: {members} + payout {paid} = 0")
        return {currency: tuple(texts) for currency, texts in proofs.items()}
