"""What a camt detail says about a movement beside its amount: references, the other side, texts, cards, returns.

Law: a reference that says there is none is none; remittance lines keep their order and their breaks; no card number
leaves here whole, and magnetic stripe or security code data refuse the file. Roles of debtor and creditor are those of
the original payment on returns and reversals.
"""

import re
from typing import Any, Final

from reconciliation.formats.camt_parts.entry_parts import Parts, each, texts_at
from reconciliation.formats.canonical import CardTokens
from reconciliation.formats.card_numbers import is_harmless, truncated
from reconciliation.formats.masked_lines import masked_lines
from reconciliation.formats.values import joined, other_refs_json, reference, refused

_TEXT_LENGTH_MAX: Final = 4_000  # remittance is 140 characters a piece; the file itself stays the evidence
_REFERENCES: Final = (
    ("Refs/InstrId", "instruction"),
    ("Refs/TxId", "transaction"),
    ("Refs/PmtInfId", "payment_information"),
    ("Refs/MsgId", "message"),
    ("Refs/MndtId", "mandate"),
    ("Refs/ClrSysRef", "clearing_system"),
    ("Refs/ChqNb", "check"),
)
_IN_TEXT: Final = ("Refs/InstrId", "Refs/TxId", "Refs/ChqNb", "Refs/MndtId")  # without end-to-end id
_ROLES: Final = {  # paths of the name in the order in which they count, of the account and its IBAN, of the bank
    role: (
        tuple(
            f"RltdPties/{party}/{name}"
            for party in (role, f"Ultmt{role}")
            for name in ("Nm", "Pty/Nm", "Agt/FinInstnId/Nm")
        ),
        f"RltdPties/{role}Acct",
        f"RltdPties/{role}Acct/Id/IBAN",
        (f"RltdAgts/{role}Agt/FinInstnId/BICFI", f"RltdAgts/{role}Agt/FinInstnId/BIC"),
    )
    for role in ("Dbtr", "Cdtr")
}
_CARD_DIGITS: Final = re.compile(r"[0-9]{12,19}", re.ASCII)
_CARD_HIDDEN: Final = re.compile(r"([0-9]{6})[0-9]{0,2}[*xX.]{2,9}([0-9]{4})", re.ASCII)


def add_references(row: dict[str, Any], detail: Parts, card: Parts, *, undoes: bool) -> str | None:
    """References of a detail; gives the servicer's own. ``card`` is the level that states the card transaction."""
    get = detail.get
    row["ref_end_to_end"] = end_to_end = reference(get("Refs/EndToEndId"))
    if "Refs/UETR" in detail and (uetr := reference(detail["Refs/UETR"])):
        row["ref_uetr"] = uetr.lower()
    others: dict[str, str | None] = {}
    for path, key in _REFERENCES:
        if path in detail:
            others[key] = reference(detail[path])
    if "RmtInf/Strd" in detail:
        _add_remittance_references(row, others, detail)
    if "mandate" in others:
        others["creditor_id"] = _creditor_id(detail)
    if undoes:
        others["original"] = end_to_end or others.get("transaction") or others.get("instruction")
    if "CardTx" in card:
        _add_card_references(others, card)
    if others:
        row["other_refs"] = other_refs_json(**others)
    return reference(detail["Refs/AcctSvcrRef"]) if "Refs/AcctSvcrRef" in detail else None


def add_counterparty(row: dict[str, Any], detail: Parts, role: str, tokens: CardTokens) -> None:
    """Name, account and bank of the other side, whose role is ``Dbtr`` or ``Cdtr``. The name is not masked yet."""
    get = detail.get
    names, account, iban, banks = _ROLES[role]
    if "RltdPties" in detail:
        for path in names:
            name = get(path)
            if name:
                row["counterparty"] = name
                break
        if account in detail:
            row["counterparty_account"] = get(iban) or account_in(detail, account, tokens)
    if "RltdAgts" in detail:
        row["counterparty_bic"] = get(banks[0]) or get(banks[1])


def account_in(parts: Parts, path: str, tokens: CardTokens) -> str | None:
    """An account as written: its IBAN, else the bank's own number, which on card accounts may be the card's."""
    iban = parts.get(f"{path}/Id/IBAN")
    if iban:
        return iban
    other = parts.get(f"{path}/Id/Othr/Id") or parts.get(f"{path}/Id/PrtryAcct/Id")
    return tokens.masked(other) if other else None


def text_parts(detail: Parts, additional: str | None, *, named: bool) -> list[str]:
    """Remittance line by line, creditor references, the bank's words; without end-to-end id the other references."""
    parts = texts_at(detail, "RmtInf/Ustrd")
    if "RmtInf/Strd" in detail:
        for path in each(detail, "RmtInf/Strd"):
            parts += texts_at(detail, f"{path}/AddtlRmtInf")
        parts += _creditor_references(detail)
    if "RtrInf" in detail:
        parts += texts_at(detail, "RtrInf/AddtlInf")
    said = detail.get("AddtlTxInf")
    if said and said not in parts:
        parts.append(said)
    if not named and "Refs" in detail:
        for path in _IN_TEXT:
            other = reference(detail.get(path))
            if other and other not in parts:
                parts.append(other)
    if additional and additional not in parts:
        parts.append(additional)
    return parts


def add_masked(row: dict[str, Any], parts: list[str], tokens: CardTokens) -> None:
    """The text of a line in its parts and the name of its other side, without card numbers."""
    name = row["counterparty"]
    if parts:
        # One look at all of it without its breaks, which only part what might be hidden, and beside a mark, which makes
        # it more than digits: that proves nearly every line to have nothing to hide.
        glued = parts[0] if len(parts) == 1 else "".join(parts)
        if is_harmless(f"{name}|{glued}") and (glued.isascii() or _are_stripped(parts)):
            row["text"] = "\n".join(parts)[:_TEXT_LENGTH_MAX]
            return
        row["text"] = masked_lines(parts, tokens.masked)[:_TEXT_LENGTH_MAX]
    if name:
        row["counterparty"] = tokens.masked(name)


def reason_of(detail: Parts) -> str | None:
    """Why the payment came back, in the external return reason codes or the bank's own."""
    return detail.get("RtrInf/Rsn/Cd") or detail.get("RtrInf/Rsn/Prtry")


def add_card(row: dict[str, Any], parts: Parts, tokens: CardTokens) -> None:
    """Token and truncated form of the card of a card transaction. Code ``sensitive_data``."""
    plain = "CardTx/Card/PlainCardData"
    for name in ("TrckData", "CardSctyCd"):
        if f"{plain}/{name}" in parts:
            raise refused(
                "sensitive_data",
                plain,
                "no track data and no security code",
                f"the element {name}",
                "Nobody may store it after authorisation; have the sender leave it out and delete the file.",
            )
    number = parts.get(f"{plain}/PAN") or parts.get("CardTx/Card/MskdPAN")
    if not number:
        return
    if _CARD_DIGITS.fullmatch(number):
        row["card_token"] = tokens.token(number)
        row["card_truncated"] = truncated(number)
    elif hidden := _CARD_HIDDEN.fullmatch(number):
        row["card_truncated"] = f"{hidden.group(1)}{'*' * (len(number) - 10)}{hidden.group(2)}"


def _creditor_references(detail: Parts) -> list[str]:
    found = []
    for path in each(detail, "RmtInf/Strd"):
        text = reference(detail.get(f"{path}/CdtrRefInf/Ref") or detail.get(f"{path}/CdtrRefInf/CdtrRef"))
        if text and text not in found:
            found.append(text)
    return found


def _add_remittance_references(row: dict[str, Any], others: dict[str, str | None], detail: Parts) -> None:
    creditor_references = _creditor_references(detail)
    others["creditor_reference"] = joined(creditor_references)
    if len(creditor_references) == 1:
        row["ref_merchant"] = creditor_references[0]
    others["invoice"] = joined(
        reference(detail.get(f"{document}/Nb"))
        for path in each(detail, "RmtInf/Strd")
        for document in each(detail, f"{path}/RfrdDocInf")
    )


def _creditor_id(detail: Parts) -> str | None:
    creditor = "RltdPties/Cdtr"
    return detail.get(f"{creditor}/Id/PrvtId/Othr/Id") or detail.get(f"{creditor}/Pty/Id/PrvtId/Othr/Id")


def _add_card_references(others: dict[str, str | None], card: Parts) -> None:
    others["terminal_id"] = reference(card.get("CardTx/POI/Id/Id"))
    others["trace"] = reference(card.get("CardTx/Tx/Indv/TxId/TxRef") or card.get("CardTx/Tx/TxId/TxRef"))
    others["stan"] = reference(card.get("CardTx/Tx/Indv/SeqNb") or card.get("CardTx/Tx/SeqNb"))


def _are_stripped(parts: list[str]) -> bool:
    """Whether no part begins or ends with a blank of any kind; those of XML are gone already."""
    return list(map(str.strip, parts)) == parts
