"""What the rows of a Stripe report add up to: movement by currency, and every payout against its members.

Law: members of a payout + the payout itself = 0 wherever the file holds both. A payout that was made by hand has no
members, since Stripe cannot know what it is made of; one that came back is no part of its own sum. Only sums are held.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import compress
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ledger_core.money import MAX_AMOUNT_MINOR, exponent_of, format_minor
from reconciliation.errors import RefusedFile
from reconciliation.formats import values
from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.delimited_rows import Integers
from reconciliation.formats.report_columns import grouped, sums_by

NOTES_MAX: Final = 1_000
_SENTENCES_MAX: Final = 100  # a report of thousands of payouts is not told in full
_PAYOUTS_MAX: Final = 250_000
_REMEDY: Final = "Run the report again; if it says the same, ask Stripe."


def refused(code: str, place: str, expected: str, found: str) -> RefusedFile:
    """A refusal of this format."""
    return values.refused(code, place, expected, found, _REMEDY)


@dataclass(slots=True)
class CurrencyPart:
    """The rows of one currency."""

    from_date: date
    to_date: date
    movement_minor: int = 0
    line_count: int = 0
    accounts: set[str] = field(default_factory=set)  # two at most: more need no names
    flags: list[str] = field(default_factory=list)

    def add_account(self, account: str) -> None:
        """Remember an account of the rows, unless two are known."""
        if account and len(self.accounts) <= 1:
            self.accounts.add(account)


@dataclass(slots=True)
class _Payout:
    members_minor: int = 0
    member_count: int = 0
    paid_minor: int | None = None
    row_no: int = 0


class Proofs:
    """Sums while the rows go by; ``prove`` at the end."""

    def __init__(self, options: ReadOptions) -> None:
        self.parts: dict[str, CurrencyPart] = {}
        self._options = options
        self._payouts: dict[tuple[str, str], _Payout] = {}
        self._notes: set[str] = set()

    def note(self, text: str) -> None:
        """Remember what is tolerated; a file full of oddities is not told in full."""
        if len(self._notes) < NOTES_MAX:
            self._notes.add(text)

    def notes(self) -> tuple[str, ...]:
        """Everything noted, in one order whatever the order of rows."""
        return tuple(sorted(self._notes))

    def demand(self, refusal: RefusedFile, currency: str) -> None:
        """Raise a proof that failed, or flag it where a person waived it."""
        flag = self._options.demand(refusal)
        flags = self.parts[currency].flags
        if len(flags) < _SENTENCES_MAX:
            flags.append(flag)

    def add_to_parts(
        self,
        currencies: Sequence[str],
        nets_minor: Integers,
        booking_dates: Any,  # Arrow date32
        accounts: Sequence[str],
    ) -> None:
        """Count a batch of rows in their currencies."""
        names, groups = grouped(currencies)
        sums = sums_by(groups, nets_minor, len(names))
        for place, currency in enumerate(names):
            of_currency = pa.array(groups == place)
            ends: Any = pc.min_max(booking_dates.filter(of_currency)).as_py()
            part = self.parts.setdefault(currency or "", CurrencyPart(ends["min"], ends["max"]))
            part.from_date, part.to_date = min(part.from_date, ends["min"]), max(part.to_date, ends["max"])
            part.movement_minor += sums[place]
            part.line_count += int((groups == place).sum())
            for account in dict.fromkeys(compress(accounts, (groups == place).tolist())):
                part.add_account(account.strip())

    def add_members(
        self,
        payout_ids: Sequence[str | None],
        currencies: Sequence[str],
        nets_minor: Integers,
        is_member: npt.NDArray[np.bool_],
    ) -> None:
        """Count the members of payouts, a batch of rows at once."""
        payouts, payout_groups = grouped(payout_ids)
        names, currency_groups = grouped(currencies)
        pairs, groups = np.unique(payout_groups * len(names) + currency_groups, return_inverse=True)
        sums = sums_by(groups[is_member], nets_minor[is_member], len(pairs))
        counts = np.bincount(groups[is_member], minlength=len(pairs)).tolist()
        for pair, sum_minor, count in zip(pairs.tolist(), sums, counts, strict=True):
            payout_id, currency = payouts[pair // len(names)], names[pair % len(names)]
            if payout_id is not None and count:
                payout = self._payout(payout_id, currency or "")
                payout.members_minor += sum_minor
                payout.member_count += count

    def add_payout(
        self, payout_id: str | None, source_id: str | None, *, row_no: int, currency: str, net_minor: int
    ) -> None:
        """Count the row of a payout itself."""
        if payout_id is None:
            self.note(
                f"payout {(source_id or 'without id')[:40]}: made by hand, nothing says what it consists of"
            )
            return
        payout = self._payout(payout_id, currency)
        payout.paid_minor = (payout.paid_minor or 0) + net_minor
        payout.row_no = row_no

    def _payout(self, payout_id: str, currency: str) -> _Payout:
        payout = self._payouts.get((payout_id, currency))
        if payout is None:
            if len(self._payouts) >= _PAYOUTS_MAX:
                raise refused(
                    "limit", "automatic_payout_id", f"at most {_PAYOUTS_MAX} payouts in a file", "more"
                )
            payout = self._payouts[payout_id, currency] = _Payout()
        return payout

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
        proofs = self.prove_parts()
        proved = dict.fromkeys(self.parts, 0)
        for (payout_id, currency), payout in sorted(self._payouts.items()):
            sentence = self._prove_payout(
                payout_id, currency, payout, payout_rows_required=payout_rows_required
            )
            if sentence is None:
                continue
            proved[currency] += 1
            if proved[currency] <= _SENTENCES_MAX:
                proofs[currency].append(sentence)
        for currency, count in proved.items():
            if count > _SENTENCES_MAX:
                proofs[currency].append(f"{count - _SENTENCES_MAX} more payouts, each with its rows = 0")
        return {currency: tuple(texts) for currency, texts in proofs.items()}

    def prove_parts(self) -> dict[str, list[str]]:
        """What was proved of every row, by currency. Code ``amount``."""
        proofs: dict[str, list[str]] = {}
        for currency, part in self.parts.items():
            if abs(part.movement_minor) > MAX_AMOUNT_MINOR:
                raise refused("amount", f"all rows in {currency}", "a sum within 64 bits", "more")
            unflagged = not part.flags
            proofs[currency] = [f"net = gross - fee in {part.line_count} rows"] if unflagged else []
        return proofs

    def _prove_payout(
        self, payout_id: str, currency: str, payout: _Payout, *, payout_rows_required: bool
    ) -> str | None:
        exponent = exponent_of(currency)
        name = f"payout {payout_id[:40]}"
        members = f"{payout.member_count} rows of {format_minor(payout.members_minor, exponent)} {currency}"
        if payout.paid_minor is None:
            if payout_rows_required:
                raise refused("truncated", name, "the row of the payout itself", "none")
            self.note(f"{name}: not in the file itself, its {members} prove nothing")
            return None
        paid = format_minor(payout.paid_minor, exponent)
        rest_minor = payout.members_minor + payout.paid_minor
        if not rest_minor:
            return f"{name}: {members} + payout {paid} = 0"
        self.demand(
            refused(
                "control_total",
                f"{name} (row {payout.row_no})",
                f"{format_minor(-payout.members_minor, exponent)} {currency}, against its {members}",
                f"{paid} {currency}, which leaves {format_minor(rest_minor, exponent)}: "
                f"{values.difference_in_words(-payout.members_minor, payout.paid_minor, currency)}",
            ),
            currency,
        )
        return None
