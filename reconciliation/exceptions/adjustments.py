"""The journal entry that brings the members of a proposal to zero: what a write-off or a missing booking would post.

Laws: the first line stands on the reconciled account and is exactly what the other side has more, so that the members
and it come to nothing; the entry balances in one asset; nothing is drafted of a difference of zero, across assets or
accounts, or onto an account that is unknown, closed, of another asset or has others below it. References of the one
external line go with the first line, so that a later run would bring them together anyway; an entry that takes back one
of ours names it (``corrects``), which explains the pair to the pass of reversal families.

Pure: posts nothing and reads nothing. The shell posts what two people agreed on.

    bank -3.00 (fee), our book nothing      assets:bank:eur -3.00, expenses:bank-fees +3.00
    our book +5.12 (sale), the bank never   assets:bank:eur -5.12, expenses:write-offs +5.12, corrects sale
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Any, Final

from reconciliation.errors import RefusedProposal

MINOR_MAX: Final = 2**63 - 1
_NO_REFERENCES: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A line that an adjustment is about. ``references``: what it would be found by, as columns of journal lines."""

    side: str
    key: str
    account: str
    asset: str
    amount_minor: int
    references: Mapping[str, str] = field(default_factory=lambda: _NO_REFERENCES)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartAccount:
    """What must be known of an account before anything is booked on it."""

    code: str
    asset: str
    is_open: bool = True
    is_leaf: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of the difference goes to an account, as the reconciled account sees it; None: all that is left."""

    account: str
    amount_minor: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftLine:
    """One signed amount on one account, debit positive."""

    account: str
    amount_minor: int
    asset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryDraft:
    """An entry that was not posted; the first of its lines is on the reconciled account and takes the references."""

    effective_date: date
    description: str
    lines: tuple[DraftLine, ...]
    references: Mapping[str, str] = field(default_factory=lambda: _NO_REFERENCES)
    corrects: str | None = None

    @property
    def difference_minor(self) -> int:
        """What it brings to zero: external less ledger."""
        return self.lines[0].amount_minor

    def as_value(self) -> dict[str, Any]:
        """What is frozen with a proposal."""
        return {
            "effective_date": self.effective_date.isoformat(),
            "description": self.description,
            "lines": [
                {"account": line.account, "amount_minor": line.amount_minor, "asset": line.asset}
                for line in self.lines
            ],
        }


def adjusting_entry(
    members: Sequence[Member],
    *,
    shares: Sequence[Share],
    chart: Mapping[str, ChartAccount],
    effective_date: date,
    description: str,
) -> EntryDraft:
    """The entry that brings ``members`` to zero against the accounts of ``shares``; one of them may take the rest.

    Raises:
        RefusedProposal: there is no one difference, or an account cannot take it; the message says what stands against.
    """
    account, asset = _purse(members)
    difference_minor = difference_of(members)
    if difference_minor == 0:
        raise RefusedProposal(
            "an adjustment: expected a difference to bring to zero, found none; propose force-match instead"
        )
    if abs(difference_minor) > MINOR_MAX:
        raise RefusedProposal(
            f"an adjustment: expected a difference of 64 bits, found {difference_minor}; propose fewer lines"
        )
    for code in [account, *(share.account for share in shares)]:
        _usable(code, asset, chart)
    if account in [share.account for share in shares]:
        raise RefusedProposal(f"an adjustment: expected another account than {account}, which is reconciled")
    lines = [DraftLine(account=account, amount_minor=difference_minor, asset=asset)]
    lines += [
        DraftLine(account=code, amount_minor=-amount_minor, asset=asset)
        for code, amount_minor in _shared_out(difference_minor, shares)
    ]
    return EntryDraft(
        effective_date=effective_date,
        description=description,
        lines=tuple(lines),
        references=_references(members),
        corrects=_corrected(members),
    )


def difference_of(members: Sequence[Member]) -> int:
    """What the external members have more than those of the ledger."""
    return sum(
        member.amount_minor if member.side == "external" else -member.amount_minor for member in members
    )


def _purse(members: Sequence[Member]) -> tuple[str, str]:
    """The one account and asset of all members."""
    purses = sorted({(member.account, member.asset) for member in members})
    if len(purses) != 1:
        told = ", ".join(f"{asset} on {account}" for account, asset in purses) or "no line"
        raise RefusedProposal(f"an adjustment: expected lines of one account and asset, found {told}")
    return purses[0]


def _usable(code: str, asset: str, chart: Mapping[str, ChartAccount]) -> None:
    found = chart.get(code)
    what = f"account {code}: expected an open account of the chart in {asset} without others below it, found"
    if found is None:
        raise RefusedProposal(f"{what} none; `tieout ledger accounts` adds one")
    if found.asset != asset:
        raise RefusedProposal(f"{what} one in {found.asset}")
    if not found.is_open:
        raise RefusedProposal(f"{what} it closed")
    if not found.is_leaf:
        raise RefusedProposal(f"{what} others below it")


def _shared_out(difference_minor: int, shares: Sequence[Share]) -> list[tuple[str, int]]:
    """What each account gets; all of it together is the difference."""
    codes = [share.account for share in shares]
    if not codes or len(set(codes)) < len(codes):
        raise RefusedProposal(
            f"an adjustment: expected each account once, found {', '.join(codes) or 'none'}"
        )
    rest_minor = difference_minor - sum(share.amount_minor or 0 for share in shares)
    takes_rest = [share.account for share in shares if share.amount_minor is None]
    if len(takes_rest) > 1:
        raise RefusedProposal(
            f"an adjustment: expected one account to take the rest, found {', '.join(takes_rest)}; say the amounts"
        )
    if not takes_rest and rest_minor:
        raise RefusedProposal(
            f"an adjustment: expected amounts that come to {difference_minor} minor units, the difference, found "
            f"{difference_minor - rest_minor}; name an account without an amount to take the rest"
        )
    parts = [
        (share.account, rest_minor if share.amount_minor is None else share.amount_minor) for share in shares
    ]
    empty = [code for code, amount_minor in parts if amount_minor == 0]
    if empty:
        raise RefusedProposal(f"an adjustment: expected an amount for {', '.join(empty)}, found 0")
    return parts


def _references(members: Sequence[Member]) -> Mapping[str, str]:
    """What the one external line is found by: the line of the entry is found by the same."""
    external = [member.references for member in members if member.side == "external"]
    return MappingProxyType(dict(sorted(external[0].items()))) if len(external) == 1 else _NO_REFERENCES


def _corrected(members: Sequence[Member]) -> str | None:
    """The entry of ours that is taken back, where the source has no part in it."""
    if any(member.side == "external" for member in members):
        return None
    entries = sorted({member.key for member in members})
    if len(entries) > 1:
        raise RefusedProposal(
            f"an adjustment: expected lines of one entry where the source has none, found {', '.join(entries)}; "
            "propose one after the other"
        )
    return entries[0]
