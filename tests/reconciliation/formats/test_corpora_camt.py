"""Every camt.053 file of the corpora is read with its balances tied, or refused with the true reason.

What is true comes from `EXPECTED.csv` (several independent readers) and from a second, unhurried look at the whole tree
here, which shares no code with the reader.
"""

import csv
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pytest
from lxml import etree

from reconciliation.errors import RefusedFile
from reconciliation.formats import camt_053
from reconciliation.formats.canonical import WholeDelivery, read_whole
from tests.reconciliation.formats.camt_builder import OPTIONS

BOOKED_BALANCES = {"OPBD", "PRCD", "CLBD", "ITBD"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    path: Path
    content: str
    expected: dict[str, str]
    delivery: WholeDelivery | None
    refused: RefusedFile | None


@pytest.fixture(scope="module")
def outcomes(corpora: Path) -> list[Outcome]:
    with (corpora / "EXPECTED.csv").open(newline="") as stream:
        expected = {row["path"]: row for row in csv.DictReader(stream)}
    with (corpora / "INDEX.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["version"].startswith("camt053")]
    return [outcome(corpora / row["path"], row["content"], expected[row["path"]]) for row in rows]


def outcome(path: Path, content: str, expected: dict[str, str]) -> Outcome:
    delivery = refused = None
    try:
        with path.open("rb") as stream:
            delivery = read_whole(camt_053, stream, OPTIONS)
    except RefusedFile as error:
        refused = error
    return Outcome(path=path, content=content, expected=expected, delivery=delivery, refused=refused)


def test_every_statement_whose_balances_tie_is_read(outcomes: list[Outcome]) -> None:
    tied = [one for one in outcomes if one.expected["balance_proof"] == "ok"]
    assert len(tied) > 100
    assert {one.path: str(one.refused) for one in tied if one.refused is not None} == {}


def test_what_is_read_has_the_entries_and_the_sum_that_independent_readers_found(
    outcomes: list[Outcome],
) -> None:
    for one in outcomes:
        if one.delivery is not None:
            lines = one.delivery.lines
            entries = len(set(lines["record_no"].to_pylist()))
            total_minor = sum(lines["amount_minor"].to_pylist())
            found = (str(entries), str(total_minor))
            assert found == (one.expected["lines"], one.expected["signed_minor"]), one.path


def test_what_is_read_is_proved_statement_by_statement(outcomes: list[Outcome]) -> None:
    for one in outcomes:
        for statement in one.delivery.parsed.statements if one.delivery is not None else ():
            assert statement.opening_minor is not None, one.path
            assert statement.opening_minor + statement.movement_minor == statement.closing_minor, one.path


def test_nothing_that_all_readers_reject_or_whose_balances_fail_is_read(outcomes: list[Outcome]) -> None:
    for one in outcomes:
        if one.expected["confidence"] == "rejected-by-all" or one.expected["balance_proof"] == "fails":
            assert one.delivery is None, one.path


def test_what_is_read_without_an_expected_proof_has_no_entries(outcomes: list[Outcome]) -> None:
    unproved = [one for one in outcomes if one.delivery is not None and one.expected["balance_proof"] != "ok"]
    assert {one.expected["lines"] for one in unproved} <= {"0"}


def test_every_refusal_names_a_reason_that_a_second_look_finds_too(outcomes: list[Outcome]) -> None:
    reasons = {one.path: (one.refused.code, true_reasons(one.path)) for one in outcomes if one.refused}
    assert {path: pair for path, pair in reasons.items() if pair[0] not in pair[1]} == {}


def test_every_file_is_either_read_or_refused_and_the_shares_are_told(
    outcomes: list[Outcome], record_testsuite_property: object
) -> None:
    shares = Counter(one.refused.code if one.refused else "read" for one in outcomes)
    assert sum(shares.values()) == len(outcomes)
    tied = sum(one.expected["balance_proof"] == "ok" for one in outcomes)
    assert tied <= shares["read"] < len(outcomes), shares
    assert callable(record_testsuite_property)
    for code, count in sorted(shares.items()):
        record_testsuite_property(f"corpora camt.053 {code}", count)


def true_reasons(path: Path) -> set[str]:
    """Everything that is wrong with a file, by another way than the reader's."""
    content = path.read_bytes()
    if b"<!DOCTYPE" in content:
        return {"unsafe"}
    if not content.lstrip().startswith((b"<", b"\xef\xbb\xbf<")):
        return {"not_this_format"}
    reasons = set()
    try:
        root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as error:
        reasons.add("truncated" if "Premature end" in str(error) else "structure")
        root = etree.fromstring(
            content, etree.XMLParser(recover=True, resolve_entities=False, no_network=True)
        )
        if root is None:
            return reasons
    statements = root.findall(".//{*}Stmt")
    if not statements:
        reasons.add("not_this_format")
    for statement in statements:
        reasons |= entry_reasons(statement) | summary_reasons(statement) | balance_reasons(statement)
    return reasons


def entry_reasons(statement: etree._Element) -> set[str]:
    reasons = set()
    for entry in statement.findall("{*}Ntry"):
        amount = entry.find("{*}Amt")
        if amount is None or decimal(amount.text) is None:
            reasons.add("amount")
        elif "Ccy" not in amount.attrib:
            reasons.add("currency")
        if entry.findtext("{*}CdtDbtInd") not in {"CRDT", "DBIT"}:
            reasons.add("structure")
        for group in entry.findall("{*}NtryDtls"):
            listed, stated = len(group.findall("{*}TxDtls")), group.findtext("{*}Btch/{*}NbOfTxs")
            if listed > 1 and stated not in {None, str(listed)}:
                reasons.add("control_total")
        if entry.find("{*}BookgDt") is None and entry.find("{*}ValDt") is None:
            reasons.add("date")
    return reasons


def summary_reasons(statement: etree._Element) -> set[str]:
    stated = statement.findtext("{*}TxsSummry/{*}TtlNtries/{*}NbOfNtries")
    return {"control_total"} if stated not in {None, str(len(statement.findall("{*}Ntry")))} else set()


def balance_reasons(statement: etree._Element) -> set[str]:
    balances = [one for one in statement.findall("{*}Bal") if one.findtext(".//{*}Cd") in BOOKED_BALANCES]
    entries = statement.findall("{*}Ntry")
    amounts = [one.find("{*}Amt") for one in balances + entries]
    if len({amount.get("Ccy") for amount in amounts if amount is not None}) > 1:
        return {"currency"}
    if len(balances) < (2 if entries else 1):
        return {"balance"}
    first = {one.findtext(".//{*}Cd"): one for one in reversed(balances)}
    opening, closing = first.get("OPBD", first.get("PRCD")), first.get("CLBD")
    if opening is None or closing is None:
        return {"balance"}
    moved = sum((signed(entry) for entry in entries), Decimal(0))
    return {"balance"} if signed(opening) + moved != signed(closing) else set()


def signed(element: etree._Element) -> Decimal:
    amount = decimal(element.findtext("{*}Amt")) or Decimal(0)
    return -amount if element.findtext("{*}CdtDbtInd") == "DBIT" else amount


def decimal(text: str | None) -> Decimal | None:
    try:
        return Decimal(text.strip()) if text else None
    except InvalidOperation:
        return None
