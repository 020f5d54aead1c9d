"""What a camt detail says about a movement beside its amount: references, the other side, texts, cards, returns.

Law: a reference that says there is none is none; remittance lines keep their order and their breaks; no card number
leaves here whole, and magnetic stripe or security code data refuse the file. Roles of debtor and creditor are those of
the original payment on returns and reversals.
"""

import re
from typing import Any, Final

from reconciliation.formats.camt_tree import Tree, below, text_at, texts_at, trees_at
from reconciliation.formats.canonical import CardTokens
from reconciliation.formats.card_numbers import truncated
from reconciliation.formats.values import joined, other_refs_json, reference, refused

_TEXT_LENGTH_MAX: Final = 4_000  # remittance is 140 characters a piece; the file itself stays the evidence
_REFERENCES: Final = {
    "InstrId": "instruction",
    "TxId": "transaction",
    "PmtInfId": "payment_information",
    "MsgId": "message",
    "MndtId": "mandate",
    "ClrSysRef": "clearing_system",
    "ChqNb": "check",
}
_IN_TEXT: Final = ("InstrId", "TxId", "ChqNb", "MndtId")  # where no end-to-end id names the payment
_CARD_DIGITS: Final = re.compile(r"[0-9]{12,19}", re.ASCII)
_CARD_HIDDEN: Final = re.compile(r"([0-9]{6})[0-9]{0,2}[*xX.]{2,9}([0-9]{4})", re.ASCII)


def add_references(row: dict[str, Any], detail: Tree, card: Tree, *, undoes: bool) -> str | None:
    """References of a detail; gives the servicer's own."""
    found = below(detail, "Refs")
    remittance = below(detail, "RmtInf")
    if "Strd" in remittance:
        creditor_references = list(dict.fromkeys(_creditor_references(remittance)))
        invoices = [
            text_at(document, "Nb")
            for part in trees_at(remittance, "Strd")
            for document in trees_at(part, "RfrdDocInf")
        ]
    else:
        creditor_references, invoices = [], []
    if not found and not creditor_references and not invoices and not card:
        return None
    end_to_end = reference(text_at(found, "EndToEndId"))
    uetr = reference(text_at(found, "UETR"))
    row["ref_end_to_end"] = end_to_end
    row["ref_uetr"] = uetr.lower() if uetr else None
    others = {key: reference(text_at(found, name)) for name, key in _REFERENCES.items() if name in found}
    if creditor_references:
        others["creditor_reference"] = joined(creditor_references)
        if len(creditor_references) == 1:
            row["ref_merchant"] = creditor_references[0]
    if invoices:
        others["invoice"] = joined(map(reference, invoices))
    if "MndtId" in found:
        others["creditor_id"] = _creditor_id(below(detail, "RltdPties"))
    if undoes:
        others["original"] = end_to_end or others.get("transaction") or others.get("instruction")
    if card:
        _add_card_references(others, card)
    if others:
        row["other_refs"] = other_refs_json(**others)
    return reference(text_at(found, "AcctSvcrRef"))


def add_counterparty(row: dict[str, Any], detail: Tree, role: str, tokens: CardTokens) -> None:
    """Name, account and bank of the other side, whose role is ``Dbtr`` or ``Cdtr``."""
    parties = below(detail, "RltdPties")
    if parties:
        name = _party_name(below(parties, role)) or _party_name(below(parties, f"Ultmt{role}"))
        if name:
            row["counterparty"] = tokens.masked(name)
        account = below(below(parties, f"{role}Acct"), "Id")
        if account:
            row["counterparty_account"] = account_in(account, tokens)
    agents = below(detail, "RltdAgts")
    if agents:
        bank = below(below(agents, f"{role}Agt"), "FinInstnId")
        row["counterparty_bic"] = text_at(bank, "BICFI") or text_at(bank, "BIC")


def account_in(identification: Tree, tokens: CardTokens) -> str | None:
    """An account as written: its IBAN, else the bank's own number, which on card accounts may be the card's."""
    iban = text_at(identification, "IBAN")
    if iban:
        return iban
    other = text_at(below(identification, "Othr"), "Id") or text_at(below(identification, "PrtryAcct"), "Id")
    return tokens.masked(other) if other else None


def text_of(detail: Tree, additional: str | None, tokens: CardTokens, *, named: bool) -> str | None:
    """Remittance line by line, creditor references, the bank's words; without end-to-end id the other references."""
    parts: list[str] = []
    remittance = below(detail, "RmtInf")
    if remittance:
        parts += texts_at(remittance, "Ustrd")
        if "Strd" in remittance:
            for part in trees_at(remittance, "Strd"):
                parts += texts_at(part, "AddtlRmtInf")
            parts += _creditor_references(remittance)
    if "RtrInf" in detail:
        parts += texts_at(below(detail, "RtrInf"), "AddtlInf")
    others: list[str | None] = [text_at(detail, "AddtlTxInf")] if "AddtlTxInf" in detail else []
    if not named and "Refs" in detail:
        found = below(detail, "Refs")
        others += [reference(text_at(found, name)) for name in _IN_TEXT]
    others.append(additional)
    for other in others:
        if other and other not in parts:
            parts.append(other)
    if not parts:
        return None
    return tokens.masked(parts[0] if len(parts) == 1 else "\n".join(parts))[:_TEXT_LENGTH_MAX]


def reason_of(detail: Tree) -> str | None:
    """Why the payment came back, in the external return reason codes or the bank's own."""
    reason = below(below(detail, "RtrInf"), "Rsn")
    return text_at(reason, "Cd") or text_at(reason, "Prtry")


def add_card(row: dict[str, Any], card: Tree, tokens: CardTokens) -> None:
    """Token and truncated form of the card of a card transaction. Code ``sensitive_data``."""
    plain = below(below(card, "Card"), "PlainCardData")
    if plain.keys() & {"TrckData", "CardSctyCd"}:
        raise refused(
            "sensitive_data",
            "CardTx/Card/PlainCardData",
            "no track data and no security code",
            "the element " + ("TrckData" if "TrckData" in plain else "CardSctyCd"),
            "Nobody may store it after authorisation; have the sender leave it out and delete the file.",
        )
    number = text_at(plain, "PAN") or text_at(below(card, "Card"), "MskdPAN")
    if number is None:
        return
    if _CARD_DIGITS.fullmatch(number):
        row["card_token"] = tokens.token(number)
        row["card_truncated"] = truncated(number)
    elif hidden := _CARD_HIDDEN.fullmatch(number):
        row["card_truncated"] = f"{hidden.group(1)}{'*' * (len(number) - 10)}{hidden.group(2)}"


def _creditor_references(remittance: Tree) -> list[str]:
    found = []
    for part in trees_at(remittance, "Strd"):
        information = below(part, "CdtrRefInf")
        text = reference(text_at(information, "Ref") or text_at(information, "CdtrRef"))
        if text:
            found.append(text)
    return found


def _party_name(party: Tree) -> str | None:
    if not party:
        return None
    return (
        text_at(party, "Nm")
        or text_at(below(party, "Pty"), "Nm")
        or text_at(below(below(party, "Agt"), "FinInstnId"), "Nm")
    )


def _creditor_id(parties: Tree) -> str | None:
    creditor = below(parties, "Cdtr")
    private = below(below(creditor, "Id") or below(below(creditor, "Pty"), "Id"), "PrvtId")
    return text_at(below(private, "Othr"), "Id")


def _add_card_references(others: dict[str, str | None], card: Tree) -> None:
    others["terminal_id"] = reference(text_at(below(below(card, "POI"), "Id"), "Id"))
    transaction = below(card, "Tx")
    single = below(transaction, "Indv") or transaction
    others["trace"] = reference(text_at(below(single, "TxId"), "TxRef"))
    others["stan"] = reference(text_at(single, "SeqNb"))
