"""Turns one OFX transaction (``STMTTRN`` or, pending, ``STMTTRNP``) into an external line.

Law: the sign is ``TRNAMT``'s own; on a card account a payment to the card is positive, as it raises our balance. The
booking date is the day as written. A card number stands in no line, the one of the account itself included, which
banks build into their ids and texts.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from reconciliation.formats.canonical import CardTokens, Emit, RowWriter
from reconciliation.formats.card_numbers import luhn_valid, truncated
from reconciliation.formats.notes import Notes
from reconciliation.formats.ofx_parts.tags import Leaves, Texts, shown_bytes
from reconciliation.formats.ofx_parts.values import KINDS, Settings, amount_minor, moment_of
from reconciliation.formats.values import ASK_AGAIN, asset_of, exact_rate, other_refs_json, reference, refused

_BIC: Final = re.compile(r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?", re.ASCII)
_REFERENCES: Final = {"CHECKNUM": "check", "SRVRTID": "transaction", "CORRECTFITID": "original"}
_RARE: Final = _REFERENCES.keys()
_COLUMNS: Final = (
    "statement_no", "record_no", "native_id", "status", "booking_date", "value_date", "event_at", "amount_minor",
    "asset", "ref_servicer", "counterparty", "text", "kind", "type_code", "card_token", "card_truncated", "byte_offset",
    "byte_length", "other_refs", "counterparty_account", "counterparty_bic", "original_asset", "fx_rate",
    "fx_numerator", "fx_denominator",
)  # fmt: skip
_NOTHING: Final = (None,) * 7  # of the columns from other_refs on
_WRONG_SIGN: Final = {"DEBIT": 1, "DIRECTDEBIT": 1, "CREDIT": -1, "DIRECTDEP": -1}
_TYPES: Final = {code.encode(): (kind, code, _WRONG_SIGN.get(code, 0)) for code, kind in KINDS.items()}
"""Type to kind, and the sign that contradicts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose transactions follow."""

    name: str  # as the source writes it; a card number truncated
    card_number: str | None
    card_token: str | None
    card_truncated: str | None


def read_account(leaves: Leaves, texts: Texts, tokens: CardTokens, *, is_card: bool) -> Account:
    """Account of ``BANKACCTFROM``, ``CCACCTFROM`` or ``INVACCTFROM``. Code ``structure``."""
    text = reference(texts.text(leaves.get("ACCTID", b""), "ACCTID"))
    if text is None:
        raise refused("structure", "ACCTID", "the account that the statement is of", "nothing")
    digits = text.replace(" ", "").replace("-", "")
    if (
        digits.isascii()
        and digits.isdecimal()
        and 13 <= len(digits) <= 19
        and (is_card or tokens.masked(digits) != digits)
        and luhn_valid(digits)
    ):
        name = truncated(digits) or text
        return Account(name=name, card_number=digits, card_token=tokens.token(digits), card_truncated=name)
    return Account(name=tokens.masked(text), card_number=None, card_token=None, card_truncated=None)


class Lines:
    """Writes the lines of one statement after the other; keeps nothing of them."""

    def __init__(self, emit: Emit, tokens: CardTokens, settings: Settings, notes: Notes) -> None:
        self.notes = notes
        self.texts = Texts(b"")
        self.record_no = 0
        self._writer = RowWriter(emit, _COLUMNS)
        self._masked = tokens.masked
        self._settings = settings

    def flush(self) -> None:
        """Emit the last lines."""
        self._writer.flush()

    def add(
        self,
        leaves: Leaves,
        inner: dict[str, Leaves],
        *,
        statement_no: int,
        account: Account,
        asset: str,
        where: tuple[int, int],
        pending: bool,
    ) -> tuple[int, int, bool]:
        """Write one transaction; its amount, its day, whether it is booked. ``inner``: the aggregates within it."""
        get, clean = leaves.get, self._clean
        value_minor = amount_minor(get("TRNAMT", b""), asset, self._settings.decimal_mark, "TRNAMT")
        if pending and "DTTRAN" in leaves:
            days, instant = moment_of(leaves["DTTRAN"], "DTTRAN")
        else:
            days, instant = moment_of(get("DTPOSTED", b""), "DTPOSTED")
        if "DTUSER" in leaves:
            instant = moment_of(leaves["DTUSER"], "DTUSER")[1] or instant
        available = moment_of(leaves["DTAVAIL"], "DTAVAIL")[0] if "DTAVAIL" in leaves else None
        kind, type_code = self._type(get("TRNTYPE", b""), value_minor)
        own_id = reference(clean(leaves["FITID"], "FITID", account)) if "FITID" in leaves else None
        if own_id is None and not pending:
            self._note("transactions without an id (FITID)")
        servicer_ref = reference(clean(leaves["REFNUM"], "REFNUM", account)) if "REFNUM" in leaves else None
        memo = clean(leaves["MEMO"], "MEMO", account) if "MEMO" in leaves else None
        status, original = "pending" if pending else "booked", get("CORRECTFITID")
        if original:
            status = self._correction(get("CORRECTACTION", b""), status)
        name, other = self._name(leaves, inner, account), self._other(leaves, inner, account, asset)
        row = (
            statement_no,
            self.record_no,
            own_id if self._settings.transaction_ids_kept else None,
            status,
            days,
            available,
            instant,
            value_minor,
            asset,
            servicer_ref or own_id,
            name,
            memo or name,
            kind,
            type_code,
            account.card_token,
            account.card_truncated,
            where[0],
            where[1] - where[0],
            *other,
        )
        self._writer.add(row)
        return value_minor, days, status == "booked"

    def _type(self, raw: bytes, value_minor: int) -> tuple[str, str | None]:
        known = _TYPES.get(raw)
        if known is None:
            self._note("transactions of a type that the standard does not know, read as adjustments")
            return "adjustment", self._masked(self.texts.text(raw, "TRNTYPE")[:40]) or None
        kind, code, wrong_sign = known
        if value_minor * wrong_sign > 0:
            self._note("transactions whose type contradicts the sign of the amount, which holds")
        return kind, code

    def _name(self, leaves: Leaves, inner: dict[str, Leaves], account: Account) -> str | None:
        raw = (
            leaves.get("EXTDNAME")
            or leaves.get("NAME")
            or (inner.get("PAYEE", {}).get("NAME") if inner else None)
        )
        return (self._clean(raw, "NAME", account) or None) if raw else None

    def _other(
        self, leaves: Leaves, inner: dict[str, Leaves], account: Account, asset: str
    ) -> tuple[Any, ...]:
        """Columns that few transactions fill: other references, other account, original currency and rate."""
        if not inner and not _RARE & leaves.keys():
            return _NOTHING
        given = {
            name: reference(self._clean(leaves[tag], tag, account))
            for tag, name in _REFERENCES.items()
            if tag in leaves
        }
        to_account = inner.get("BANKACCTTO") or inner.get("CCACCTTO") or {}
        raw = to_account.get("ACCTID")
        bank = self.texts.text(to_account.get("BANKID", b""), "BANKID")
        return (
            other_refs_json(**given) if given else None,
            reference(self._clean(raw, "ACCTID", account)) if raw else None,
            bank if _BIC.fullmatch(bank) else None,
            *self._currency(inner, asset),
        )

    def _correction(self, action: bytes, status: str) -> str:
        """A replacement is booked as it is stated. A deletion takes an earlier one away and books nothing."""
        if action == b"DELETE":
            self._note("transactions that delete an earlier one (CORRECTACTION DELETE), read as information")
            return "info"
        if action != b"REPLACE":
            raise refused("structure", "CORRECTACTION", "REPLACE or DELETE", shown_bytes(action), ASK_AGAIN)
        self._note("transactions that replace an earlier one (CORRECTACTION REPLACE), booked as stated")
        return status

    def _currency(self, inner: dict[str, Leaves], asset: str) -> tuple[Any, ...]:
        """``CURRATE`` is units of the account's currency for one of ``CURSYM``: what to multiply with."""
        converted = "ORIGCURRENCY" in inner or self._settings.foreign_amounts_converted
        leaves = inner.get("ORIGCURRENCY") or inner.get("CURRENCY")
        if leaves is None:
            return None, None, None, None
        symbol = asset_of(self.texts.text(leaves.get("CURSYM", b""), "CURSYM").upper(), "CURSYM")
        if symbol == asset:
            return None, None, None, None
        if not converted:
            raise refused(
                "currency",
                "CURRENCY, CURSYM",
                f"an amount in the account's currency {asset}",
                f"one in {symbol} that was not converted",
                "If the bank writes CURRENCY for amounts that it has converted, set foreign_amounts to converted.",
            )
        rate = self.texts.text(leaves.get("CURRATE", b""), "CURRATE")
        numerator, denominator = exact_rate(rate) or (None, None)
        return symbol, rate if numerator is not None else None, numerator, denominator

    def _clean(self, raw: bytes, place: str, account: Account) -> str:
        try:
            text = raw.decode()
            is_plain = "&" not in text and "\n" not in text and "\r" not in text
        except UnicodeDecodeError:
            text, is_plain = "", False
        if not is_plain:
            text = self.texts.text(raw, place)
        if account.card_number is not None and account.card_number in text:
            text = text.replace(account.card_number, account.name)
        return self._masked(text)

    def _note(self, what: str) -> None:
        self.notes.add(what, f"record {self.record_no}")
