"""What beancount and hledger read: names, and the text of heads, entries and closing assertions.

Laws: names are mapped one to one, so that two accounts or assets never become one; nothing said of a line can end a
string, a comment or a line early; amounts are exact decimals. Knows no database and no order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Final, NamedTuple
from urllib.parse import quote

from ledger_core.money import format_minor

_ROOTS: Final = {
    "asset": "Assets",
    "liability": "Liabilities",
    "equity": "Equity",
    "income": "Income",
    "expense": "Expenses",
}
# What a part of the chart balances against: two components, where every account of a chart has three or more.
ELSEWHERE: Final = "Equity:Elsewhere"


def journal_account(account_type: str, entity: str, code: str) -> str:
    """The name of an account in a journal: root by type, entity, then the code's components; one to one.

    "assets:main-eur" of "main" becomes "Assets:Main:Assets:Main-eur". A small first letter becomes a capital; a
    component that begins with neither that nor a digit stands behind "X---"; every sign but ASCII letters, digits and
    dashes before one of them is its code point in hexadecimal digits between "--" and "-".
    """
    return ":".join((_ROOTS[account_type], *map(_component, (entity, *code.split(":")))))


def commodity(asset: str) -> str:
    """The name of an asset in beancount: the code where that is legal there, else the code between X' and 'X."""
    legal = re.fullmatch(r"[A-Z]([A-Z0-9._-]*[A-Z0-9])?", asset) and asset not in ("TRUE", "FALSE", "NULL")
    return asset if legal else f"X'{asset}'X"


def _component(text: str) -> str:
    kept = re.sub(r"-(?![A-Za-z0-9])|[^A-Za-z0-9-]", lambda found: f"--{ord(found[0]):x}-", text)
    return kept[0].upper() + kept[1:] if re.match("[a-z0-9]", text) else f"X---{kept}"


@dataclass(frozen=True)
class Account:
    """An account of the chart, with its balances at both ends of an export."""

    code: str
    name: str
    type: str
    entity: str
    asset: str
    exponent: int
    opening_minor: int
    closing_minor: int

    @cached_property
    def journal_name(self) -> str:
        """Its name in journals."""
        return journal_account(self.type, self.entity, self.code)

    def decimal(self, amount_minor: int) -> str:
        """An amount with the asset's decimals."""
        return format_minor(amount_minor, self.exponent)


class Posting(NamedTuple):
    """One line of an entry: the account's name, a decimal amount, the asset, and what is said of the line."""

    account: str
    amount: str
    asset: str
    details: Sequence[tuple[str, str]] = ()


class Beancount:
    """Text for beancount 3. What is said is metadata; texts are strings with escapes."""

    def head(self, day: str, assets: Mapping[str, int], accounts: Iterable[Account]) -> Iterator[str]:
        """Assets with their exponents and accounts, declared as of a day."""
        yield 'option "title" "General ledger"\n\n'
        for asset, exponent in assets.items():
            yield f'{day} commodity {commodity(asset)}\n  code: "{asset}"\n  exponent: {exponent}\n'
        for account in accounts:
            yield f"{day} open {account.journal_name} {commodity(account.asset)}\n"
            yield from self._said(
                "  ", {"code": account.code, "entity": account.entity, "name": account.name}.items()
            )
        yield f"{day} open {ELSEWHERE}\n"

    def entry(
        self, day: str, payee: str, narration: str, said: Mapping[str, str], postings: Iterable[Posting]
    ) -> Iterator[str]:
        """One entry, with what is said of it."""
        yield f"\n{day} * {_string(payee) + ' ' if payee else ''}{_string(narration)}\n"
        yield from self._said("  ", said.items())
        for posting in postings:
            yield f"  {posting.account}  {posting.amount} {commodity(posting.asset)}\n"
            yield from self._said("    ", posting.details)

    def closing(self, day: str, balances: Iterable[Posting]) -> Iterator[str]:
        """Balances at the end of a day, so at the beginning of the next. Without `~ 0` a minor unit is forgiven."""
        next_day = date.fromisoformat(day) + timedelta(days=1)
        yield "\n"
        for account, amount, asset, _ in balances:
            yield f"{next_day} balance {account}  {amount} ~ 0 {commodity(asset)}\n"

    @staticmethod
    def _said(indent: str, pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
        return (f"{indent}{name}: {_string(text)}\n" for name, text in pairs)


class Hledger:
    """Text for hledger 1.25 and newer. What is said is tags, in percent encoding where a sign could end one;
    the entry's key is its code."""

    def head(self, day: str, assets: Mapping[str, int], accounts: Iterable[Account]) -> Iterator[str]:  # noqa: ARG002
        """Assets with their exponents and accounts, declared."""
        yield "decimal-mark .\n\n"
        for asset, exponent in assets.items():
            yield f'commodity 1000.{"0" * exponent} "{asset}"\n'
        for account in accounts:
            said = {"code": account.code, "entity": account.entity, "name": account.name}
            yield f"account {account.journal_name}{self._said(said.items())}\n"
        yield f"account {ELSEWHERE}\n"

    def entry(
        self, day: str, payee: str, narration: str, said: Mapping[str, str], postings: Iterable[Posting]
    ) -> Iterator[str]:
        """One entry, with what is said of it."""
        title = " | ".join(
            " ".join(re.sub(r"[;|\x00-\x1f\x7f]", " ", text).split()) for text in (payee, narration) if text
        )
        code = f"({_tag(said['entry_key'])}) " if "entry_key" in said else ""
        tags = self._said((name, text) for name, text in said.items() if name != "entry_key")
        yield f"\n{day} * {code}{title}{tags}\n"
        for posting in postings:
            yield f'    {posting.account}  {posting.amount} "{posting.asset}"{self._said(posting.details)}\n'

    def closing(self, day: str, balances: Iterable[Posting]) -> Iterator[str]:
        """Balances at the end of a day, on postings of nothing."""
        yield f"\n{day} * Closing balances\n"
        for account, amount, asset, _ in balances:
            nothing = re.sub("[1-9]", "0", amount.lstrip("-"))
            yield f'    {account}  {nothing} "{asset}" = {amount} "{asset}"\n'

    @staticmethod
    def _said(pairs: Iterable[tuple[str, str]]) -> str:
        tags = ", ".join(f"{name}:{_tag(text)}" for name, text in pairs)
        return tags and f"  ; {tags}"


def _string(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n").replace("\r", r"\r")
    return f'"{escaped}"'


def _tag(text: str) -> str:
    return re.sub(r"[^\w ./+:-]|^ | $", lambda found: quote(found[0], safe=""), text)
