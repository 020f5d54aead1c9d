"""Header, balances and proofs of one camt statement.

Law: a statement is taken when opening balance + booked entries = closing balance, and every control total it states
agrees; a statement that states no two balances proves nothing and is refused. Only a statement without entries may
state a single balance. Available and forward balances are never used: they are not what was booked.
"""

from dataclasses import dataclass, field
from datetime import date
from typing import Final

from ledger_core.money import MAX_AMOUNT_MINOR, exponent_of, format_minor
from reconciliation.formats.camt_entry import amount_of, date_text
from reconciliation.formats.camt_lines import BookedEntry, Notes
from reconciliation.formats.camt_values import (
    LOCAL,
    amount_minor,
    child_text,
    descend,
    local_date,
    refused,
    sign_of,
    text_of,
)
from reconciliation.formats.canonical import Statement
from reconciliation.formats.xml_stream import Element

_OPENING: Final = ("OPBD", "PRCD")
_CLOSING: Final = "CLBD"
_INTERIM: Final = "ITBD"  # ends one page of a statement and opens the next
_BOOKED_BALANCES: Final = (*_OPENING, _CLOSING, _INTERIM)


@dataclass(slots=True)
class Totals:
    """What the entries of a statement add up to."""

    booked: dict[str, int] = field(
        default_factory=lambda: {"CRDT": 0, "DBIT": 0}
    )  # unsigned sums by direction
    counts: dict[str, int] = field(default_factory=lambda: {"CRDT": 0, "DBIT": 0})
    line_count: int = 0
    pending_count: int = 0
    assets: dict[str, str] = field(default_factory=dict)  # asset -> first entry that has it
    first_date: date | None = None

    @property
    def movement_minor(self) -> int:
        """Credits less debits."""
        return self.booked["CRDT"] - self.booked["DBIT"]

    def add(self, entry: BookedEntry, indicator: str, place: str) -> None:
        """Add one booked entry."""
        self.booked[indicator] += abs(entry.amount_minor)
        self.counts[indicator] += 1
        self.line_count += entry.line_count
        self.assets.setdefault(entry.asset, place)
        self.first_date = min(self.first_date or entry.booking_date, entry.booking_date)


@dataclass(frozen=True, slots=True)
class _Balance:
    code: str
    amount_minor: int
    asset: str
    balance_date: date | None


@dataclass(slots=True)
class Header:
    """What a statement says about itself before and beside its entries."""

    field_length_max: int
    statement_id: str | None = None
    sequence_text: str | None = None
    legal_sequence_text: str | None = None
    created_text: str | None = None
    from_text: str | None = None
    to_text: str | None = None
    copy_text: str | None = None
    account: str | None = None
    account_asset: str | None = None
    page: tuple[str, bool] | None = None  # number, whether it is the last
    balances: list[_Balance] = field(default_factory=list)
    other_balances: list[str] = field(
        default_factory=list
    )  # codes of available, forward and informative ones
    summary: Element | None = None


def read_header(element: Element, field_length_max: int, notes: Notes, place: str) -> Header:
    """Header of a statement element, as far as it has been read."""
    header = Header(field_length_max)
    texts = {
        "Id": "statement_id",
        "ElctrncSeqNb": "sequence_text",
        "LglSeqNb": "legal_sequence_text",
        "CreDtTm": "created_text",
        "CpyDplctInd": "copy_text",
    }
    for child in element:
        name = LOCAL[child.tag]
        if name in texts:
            setattr(header, texts[name], text_of(child, field_length_max))
        elif name == "FrToDt":
            header.from_text = child_text(child, ("FrDtTm",), field_length_max) or child_text(
                child, ("FrDt",), field_length_max
            )
            header.to_text = child_text(child, ("ToDtTm",), field_length_max) or child_text(
                child, ("ToDt",), field_length_max
            )
        elif name == "Acct":
            header.account = child_text(child, ("Id", "IBAN"), field_length_max) or child_text(
                child, ("Id", "Othr", "Id"), field_length_max
            )
            header.account_asset = child_text(child, ("Ccy",), field_length_max)
        elif name == "StmtPgntn":
            header.page = read_page(child, field_length_max)
        elif name == "Bal":
            _read_balance(child, header, notes, place)
        elif name == "TxsSummry":
            header.summary = child
    return header


def read_page(element: Element, field_length_max: int) -> tuple[str, bool]:
    """Page number and whether it is the last one."""
    return (
        child_text(element, ("PgNb",), field_length_max) or "1",
        child_text(element, ("LastPgInd",), field_length_max) in {"true", "1"},
    )


def business_date(header: Header) -> date | None:
    """The day the statement is for: of its closing balance, else the end of its period, else when it was made."""
    closing = [balance.balance_date for balance in header.balances if balance.code in {_CLOSING, _INTERIM}]
    if closing and closing[-1] is not None:
        return closing[-1]
    for text, path in ((header.to_text, "FrToDt"), (header.created_text, "CreDtTm")):
        if text is not None:
            return local_date(text, path)
    return None


def single_day(header: Header) -> date | None:
    """The one day a statement covers, if it covers one."""
    day = business_date(header)
    starts = [balance.balance_date for balance in header.balances if balance.code == "OPBD"]
    first = local_date(header.from_text, "FrToDt") if header.from_text else (starts[0] if starts else day)
    return day if first == day else None


def close_statement(header: Header, totals: Totals, message_page: tuple[str, bool] | None) -> Statement:
    """Prove a statement and return it. Codes: ``balance``, ``control_total``, ``currency``, ``date``, ``structure``."""
    asset = _one_asset(header, totals)
    opening, closing = _opening_and_closing(header, totals)
    exponent = exponent_of(asset)
    opening_text, movement_text, closing_text = (
        format_minor(minor, exponent)
        for minor in (opening.amount_minor, totals.movement_minor, closing.amount_minor)
    )
    if abs(totals.movement_minor) > MAX_AMOUNT_MINOR:
        raise refused(
            "amount", "Ntry", "a sum within 64 bits", "more", "Ask the sender for a corrected file."
        )
    entry_count = sum(totals.counts.values())
    expected_minor = opening.amount_minor + totals.movement_minor
    if expected_minor != closing.amount_minor:
        raise refused(
            "balance",
            f"Bal {closing.code}",
            f"{format_minor(expected_minor, exponent)} {asset} ({opening.code} {opening_text} and {entry_count} booked "
            f"entries of {movement_text})",
            f"{closing_text} {asset}, a difference of {format_minor(closing.amount_minor - expected_minor, exponent)}",
            "Entries are missing, doubled or wrong; ask the bank for the statement again.",
        )
    booked = f"{entry_count} booked entries {movement_text}"
    proofs = (
        f"{opening.code} {opening_text} + {booked} = {closing.code} {closing_text} {asset}",
        *_prove_summary(header, totals, asset),
    )
    to_date = business_date(header)
    if to_date is None:
        raise refused(
            "date", "Bal/Dt", "a date of the statement", "none", "Ask the sender for a corrected file."
        )
    from_date = (
        local_date(header.from_text, "FrToDt")
        if header.from_text
        else (opening.balance_date if opening.code == "OPBD" else None) or totals.first_date or to_date
    )
    return Statement(
        statement_ref=_statement_ref(header, opening, closing, message_page),
        account=header.account,
        asset=asset,
        sequence_no=_sequence_no(header),
        from_date=min(from_date, to_date),
        to_date=to_date,
        opening_minor=opening.amount_minor,
        closing_minor=closing.amount_minor,
        movement_minor=totals.movement_minor,
        line_count=totals.line_count,
        proofs=proofs,
        pending_count=totals.pending_count,
    )


def _read_balance(element: Element, header: Header, notes: Notes, place: str) -> None:
    limit = header.field_length_max
    code = child_text(element, ("Tp", "CdOrPrtry", "Cd"), limit) or child_text(
        element, ("Tp", "CdOrPrtry", "Prtry"), limit
    )
    if code not in _BOOKED_BALANCES:
        header.other_balances.append((code or "one without code")[:35])
        return
    found = descend(element, ("Amt",))
    amount = (None, None) if found is None else amount_of(found, limit)
    minor = amount_minor(amount, f"Bal {code}/Amt")
    indicator = child_text(element, ("CdtDbtInd",), limit)
    if indicator is None:
        notes.add("balances without CdtDbtInd, read as credit", place)
    day = descend(element, ("Dt",))
    day_text = None if day is None else date_text(day, limit)
    header.balances.append(
        _Balance(
            code=code,
            amount_minor=sign_of(indicator or "CRDT", f"Bal {code}") * minor,
            asset=amount[1] or "",
            balance_date=local_date(day_text, f"Bal {code}/Dt") if day_text else None,
        )
    )


def _one_asset(header: Header, totals: Totals) -> str:
    """The one currency of account, balances and entries."""
    stated = {header.account_asset: "Acct/Ccy"} if header.account_asset else {}
    for balance in header.balances:
        stated.setdefault(balance.asset, f"Bal {balance.code}")
    for asset, place in totals.assets.items():
        stated.setdefault(asset, place)
    if len(stated) == 1:
        asset = next(iter(stated))
        if header.balances or totals.assets:  # an amount has proved that the currency is known
            return str(asset)
    if not header.balances:
        raise _no_balances(header)
    raise refused(
        "currency",
        "Stmt",
        "one currency for account, balances and entries",
        ", ".join(f"{asset} ({place})" for asset, place in list(stated.items())[:5]),
        "Ask the bank for one statement per currency.",
    )


def _opening_and_closing(header: Header, totals: Totals) -> tuple[_Balance, _Balance]:
    by_code: dict[str, list[_Balance]] = {}
    for balance in header.balances:
        by_code.setdefault(balance.code, []).append(balance)
    for code in (*_OPENING, _CLOSING):
        if len({balance.amount_minor for balance in by_code.get(code, [])}) > 1:
            raise refused(
                "balance",
                f"Bal {code}",
                "one such balance",
                "several that differ",
                "Ask the bank which one holds.",
            )
    openings = [balance for code in _OPENING for balance in by_code.get(code, [])]
    closings = by_code.get(_CLOSING, [])
    interim = by_code.get(_INTERIM, [])  # one may open a later page or close an earlier one, two do both
    opening = next(iter(openings or (interim if closings or len(interim) > 1 else [])), None)
    closing = next(reversed(closings or (interim if openings or len(interim) > 1 else [])), None)
    if not totals.counts["CRDT"] + totals.counts["DBIT"] and header.balances:
        alone = opening or closing or header.balances[0]  # nothing was booked, so one balance is both
        opening, closing = opening or alone, closing or alone
    if opening is None or closing is None:
        raise _no_balances(header)
    return opening, closing


def _no_balances(header: Header) -> Exception:
    found = [*(balance.code for balance in header.balances), *header.other_balances]
    return refused(
        "balance",
        "Bal",
        "an opening (OPBD, PRCD, ITBD) and a closing (CLBD, ITBD) booked balance",
        f"only {', '.join(found[:8])}" if found else "no balance at all",
        "Nothing proves that the statement is complete; ask the bank for one with booked balances.",
    )


def _prove_summary(header: Header, totals: Totals, asset: str) -> list[str]:
    """Compare counts and sums that the sender states with the booked entries."""
    if header.summary is None:
        return []
    if totals.pending_count:
        return [f"TxsSummry not compared: {totals.pending_count} entries are not booked"]
    exponent = exponent_of(asset)
    credit, debit = totals.booked["CRDT"], totals.booked["DBIT"]
    credit_count, debit_count = totals.counts["CRDT"], totals.counts["DBIT"]
    proofs = []
    for name, count, sum_minor in (
        ("TtlNtries", credit_count + debit_count, credit + debit),
        ("TtlCdtNtries", credit_count, credit),
        ("TtlDbtNtries", debit_count, debit),
    ):
        element = descend(header.summary, (name,))
        if element is None:
            continue
        count_text = child_text(element, ("NbOfNtries",), header.field_length_max)
        sum_text = child_text(element, ("Sum",), header.field_length_max)
        found_minor = None if sum_text is None else amount_minor((sum_text, asset), f"TxsSummry/{name}/Sum")
        wrong_count = count_text is not None and (
            not count_text.isdecimal() or count_text.lstrip("0") != str(count or "")
        )
        if wrong_count or (found_minor is not None and found_minor != sum_minor):
            raise refused(
                "control_total",
                f"TxsSummry/{name}",
                f"{count} entries of {format_minor(sum_minor, exponent)} {asset} as booked here",
                f"{(count_text or 'no count')[:20]} entries of {(sum_text or 'no sum')[:40]}",
                "Entries are missing or doubled; ask the bank for the statement again.",
            )
        proofs.append(f"{name}: {count_text or 'no count'} entries, sum {sum_text or 'not stated'}")
    return proofs


def _statement_ref(
    header: Header, opening: _Balance, closing: _Balance, message_page: tuple[str, bool] | None
) -> str:
    if header.statement_id is None:
        raise refused(
            "structure", "Id", "an identification of the statement", "none", "Ask for a corrected file."
        )
    page = header.page or message_page
    if page is not None and _INTERIM in {opening.code, closing.code}:
        return f"{header.statement_id}/page {page[0]}"
    return header.statement_id


def _sequence_no(header: Header) -> int | None:
    text = header.sequence_text or header.legal_sequence_text
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise refused("structure", "ElctrncSeqNb", "a number", repr(text[:24]), "Ask for a corrected file.")
    return int(text)
