"""One entry (:61: and its :86:) as one canonical line: what its fields and its bank's dialect say, card numbers masked.

References: the owner's is the end-to-end reference unless :86: names another, the bank's is the servicer's. A mark such
as ``KREF+`` or ``EREF`` only says that :86: has it; a plus at the end says that it was cut (CBPR+), so that it names
nothing exactly and is kept as the customer's. An account number in the place of a reference is the other side's.
"""

import re
from typing import Final

from reconciliation.formats.bank_transaction_code import kind_of
from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.swift_mt_parts.dialects import narrative_fields
from reconciliation.formats.swift_mt_parts.entry import split_references
from reconciliation.formats.swift_mt_parts.exchange import Exchange, exchange_of
from reconciliation.formats.values import other_refs_json, reference
from reconciliation.vocabulary import OTHER_REFERENCES

COLUMNS: Final = (
    "statement_no",
    "record_no",
    "status",
    "booking_date",
    "value_date",
    "amount_minor",
    "asset",
    "fee_minor",
    "fees",
    "original_amount_minor",
    "original_asset",
    "fx_rate",
    "fx_numerator",
    "fx_denominator",
    "ref_end_to_end",
    "ref_uetr",
    "ref_servicer",
    "other_refs",
    "counterparty",
    "counterparty_account",
    "counterparty_bic",
    "text",
    "kind",
    "type_code",
    "reason_code",
    "reversal",
    "byte_offset",
    "byte_length",
)
"""The columns that a line of these standards fills, in the order of ``RowWriter``."""

EntryParts = tuple[int, str, str | None, str, str]
"""Signed amount, asset, type, references and supplementary details of a :61:."""

_TEXT_LENGTH_MAX: Final = 4_000
_REFERENCE_LENGTH: Final = 16
_MARKS: Final = frozenset(
    {"", "NONREF", "NOREF", "EREF", "KREF", "MREF", "PREF", "MARF", "IREF", "CREF", "N", "NOTPROVIDED"}
)
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)
_IBAN_SHORT: Final = re.compile(
    r"[A-Z]{2}[0-9]{2}[A-Z]{4}[0-9]{6,12}", re.ASCII
)  # cut to sixteen or eighteen
_BIC: Final = re.compile(r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?", re.ASCII)
_UETR: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_REASON_LENGTH_MAX: Final = 12  # of a code; what is longer is words, and has no room for a card number
_EXCHANGE_KEYS: Final = frozenset({"original_amount", "charges", "exchange_rate"})
_CODE_WORDS: Final = re.compile(r"/(OCMT|CHGS|EXCH|TRCD)/([^/]*)/?")
_CODE_WORD_KEYS: Final = {"OCMT": "original_amount", "CHGS": "charges", "EXCH": "exchange_rate"}
_NO_EXCHANGE: Final[Exchange] = (0, None, None, None, None, None, None)
_BETWEEN: Final = "\x1f"  # no part of a number
_NO_DETAILS: Final = (None, None, None, None, None)  # other references, name, account, bank, text
_KINDS_MAX: Final = 4_096


class Lines:
    """Builds the lines of one file. ``dialect`` forces a dialect of :86: by name."""

    def __init__(self, options: ReadOptions, dialect: str | None) -> None:
        self._masked = options.card_tokens.masked
        self._dialect = dialect
        self._kinds: dict[tuple[str | None, bool, bool], str] = {}

    def fields(self, parts: EntryParts, narrative: str) -> tuple[object, ...]:
        """The line of an entry from its fees to its reason, in the order of ``COLUMNS``. Code ``sensitive_data``."""
        amount_minor, asset, type_code, references, supplementary = parts
        details = narrative_fields(narrative, self._dialect) if narrative else {}
        owner, _, bank = references.partition("//")
        if supplementary or len(owner) > _REFERENCE_LENGTH or len(bank) > _REFERENCE_LENGTH:
            owner, bank = _further(references, supplementary, details)
        owner, bank = owner.strip(), bank.strip()
        take = details.get
        end_to_end = take("end_to_end")
        if owner != end_to_end or owner in _MARKS:
            end_to_end = _end_to_end(owner, type_code, details)
        servicer = None if bank in _MARKS else bank
        others = None
        if not OTHER_REFERENCES.isdisjoint(details):
            named = OTHER_REFERENCES & details.keys()
            others = other_refs_json(**{name: reference(details[name]) for name in named})
        code, reason = take("business_code"), take("return_reason")
        if reason is not None:
            reason = reason.strip(" /")[:_REASON_LENGTH_MAX] or None
        if code is not None:
            type_code = f"{type_code}+{code}" if type_code else code
        if not details:
            return self._bare((end_to_end, servicer, type_code), amount_minor > 0)
        text, name, account, bic = take("text"), take("name"), take("account"), take("bic")
        if account is not None and (" " in account or "/" in account):
            account = account.replace(" ", "").strip("/") or None
        number = None if account is None or _IBAN.fullmatch(account) is not None else account
        # one look at all fields that may hold a card number; an IBAN is none, and keeps its digits
        joined = f"{text}{_BETWEEN}{name}{_BETWEEN}{number}{_BETWEEN}{end_to_end}{_BETWEEN}{servicer}{_BETWEEN}{others}"
        masked = self._masked
        if masked(joined) != joined:
            text, name, end_to_end = (
                masked(text or "") or None,
                masked(name or ""),
                masked(end_to_end or "") or None,
            )
            servicer, others = masked(servicer or "") or None, masked(others or "") or None
            account = masked(number) if number else account
        if text is not None and len(text) > _TEXT_LENGTH_MAX:
            text = text[:_TEXT_LENGTH_MAX]
        return (
            *(
                _NO_EXCHANGE
                if _EXCHANGE_KEYS.isdisjoint(details)
                else exchange_of(details, amount_minor, asset)
            ),
            end_to_end,
            _uetr(take("uetr")),
            servicer,
            others,
            (name.strip(" /") or None) if name else None,
            account,
            _bic(bic) if bic else None,
            text,
            self._kind(type_code, reason is not None, amount_minor > 0),
            type_code,
            reason,
        )

    def _bare(self, given: tuple[str | None, str | None, str | None], raises: bool) -> tuple[object, ...]:
        """The same of an entry without :86:, in short."""
        end_to_end, servicer, type_code = given
        masked = self._masked
        joined = f"{end_to_end}{_BETWEEN}{servicer}"
        if masked(joined) != joined:
            end_to_end, servicer = masked(end_to_end or "") or None, masked(servicer or "") or None
        kind = self._kind(type_code, False, raises)
        return (*_NO_EXCHANGE, end_to_end, None, servicer, *_NO_DETAILS, kind, type_code, None)

    def _kind(self, type_code: str | None, is_return: bool, raises: bool) -> str:
        key = (type_code, is_return, raises)
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= _KINDS_MAX:
                self._kinds.clear()
            kind = self._kinds[key] = kind_of(None, type_code, returned=is_return, raises=raises)
        return kind


def _end_to_end(owner: str, type_code: str | None, details: dict[str, str]) -> str | None:
    """The end-to-end reference; an owner's reference that is something else goes to its own place in ``details``."""
    end_to_end = reference(details["end_to_end"]) if "end_to_end" in details else None
    mark = owner[:-1] if owner[-1:] == "+" else owner
    if mark in _MARKS or owner == end_to_end:
        return end_to_end
    account = details.get("account")
    if account == owner or (owner[2:4].isdecimal() and _IBAN_SHORT.fullmatch(owner) is not None):
        details.setdefault("account", owner)
    elif end_to_end is None and mark == owner:
        if type_code == "NCHK":
            details.setdefault("check", owner)
        return owner
    else:
        details.setdefault("customer", owner)
    return end_to_end


def _further(references: str, supplementary: str, details: dict[str, str]) -> tuple[str, str]:
    """References that stand beside other things, which go to ``details``: a name, an account, code words, text."""
    owner, bank, name, lines = split_references(references, supplementary)
    if name:
        details.setdefault("name", name)
    words = []
    for line in lines:
        coded = _CODE_WORDS.findall(line) if line.startswith("/") else None
        if coded:
            for word, value in coded:
                if word in _CODE_WORD_KEYS:
                    details.setdefault(_CODE_WORD_KEYS[word], value)
        elif _IBAN.fullmatch(line) is not None:
            details.setdefault("account", line)
        else:
            words.append(line)
    text = details.get("text")
    lines = list(dict.fromkeys([text, *words] if text else words))
    if lines:
        details["text"] = "\n".join(lines)
    return owner, bank


def _uetr(text: str | None) -> str | None:
    found = text.strip().lower() if text else ""
    return found if _UETR.fullmatch(found) is not None else None


def _bic(text: str) -> str | None:
    """A BIC, where the bank's field holds one; national bank codes have no column."""
    bic = text.strip(" /")
    return bic if _BIC.fullmatch(bic) is not None else None
