"""Every camt file of the corpora is read with its proofs holding, or refused with the true reason.

What is true comes from `EXPECTED.csv` (several independent readers, which count entries of every status) and from a
second, unhurried look at the whole tree here, which shares no code with the reader.
"""

import csv
import dataclasses
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from io import BytesIO
from pathlib import Path

import pytest
from lxml import etree

from reconciliation.errors import RefusedFile
from reconciliation.formats import camt_052, camt_053
from reconciliation.formats.canonical import WAIVABLE_CODES, Format, WholeDelivery, read_whole
from tests.reconciliation.formats.camt_builder import OPTIONS, REPORTS

WAIVED = dataclasses.replace(OPTIONS, waived=WAIVABLE_CODES)
BOOKED_BALANCES = {"OPBD", "PRCD", "CLBD", "ITBD"}
ELEMENTS = ("Stmt", "Rpt", "Ntfctn")
# Agreed by other readers, and refused here for what cannot be waived: a part of the path, code, and why.
NOT_WAIVABLE = {
    "genkgo+camt/test/data/camt052.v4.xml": "currency",  # account in CHF, entry in SEK
    "genkgo+camt/test/data/camt052.v6": "currency",
    "genkgo+camt/test/data/camt053.v2.minimal": "currency",  # opening in EUR, closing in SEK
    "genkgo+camt/test/data/camt053.v2.with-party-ids": "currency",
    "genkgo+camt/test/data/camt053.v3.xml": "currency",
    "genkgo+camt/test/data/camt053.v4.xml": "currency",
    "genkgo+camt/test/data/camt053.v8.xml": "currency",
    "053/valid_example_v8.xml": "currency",  # account in CHF, entries in EUR
    "test-camt-parse-5200108-invalid-saldo": "amount",  # thirteen decimals of EUR, as its name says
    "MT950ToCamtConverter/Output/output_camt053": "structure",  # no Id, so that no correction could be told
    "camtparser_test.go.L92": "structure",
    "test_enterprise_coverage.py.L193": "structure",
    "test_enterprise_coverage.py.L250": "structure",
    "test_parser_edge_behavior.py.L634": "currency",  # amounts without Ccy
    "test_parser_edge_behavior.py.L661": "currency",
    "camt053/_embedded/tests__test_parser.py.L168": "date",  # no date at all
    "test_parser_resilience.py.L160": "structure",  # no direction
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    path: Path
    reader: Format
    expected: dict[str, str]
    delivery: WholeDelivery | None
    refused: RefusedFile | None
    waived: WholeDelivery | None  # as it reads when a person waives what may be waived
    refused_anyway: RefusedFile | None


@pytest.fixture(scope="module")
def outcomes(corpora: Path) -> list[Outcome]:
    with (corpora / "EXPECTED.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["format"] == "camt"]
    return [outcome(corpora / row["path"], row) for row in rows]


def outcome(path: Path, expected: dict[str, str]) -> Outcome:
    content = path.read_bytes()
    # what no reader knows, such as a payment beside the statements, goes to the one of the folder's other files
    reader = next((reader for reader in REPORTS if reader.sniff(content[:65_536])), camt_053)
    delivery, refused = attempt(reader, content, waive=False)
    waived, refused_anyway = attempt(reader, content, waive=True)
    return Outcome(
        path=path,
        reader=reader,
        expected=expected,
        delivery=delivery,
        refused=refused,
        waived=waived,
        refused_anyway=refused_anyway,
    )


def attempt(
    reader: Format, content: bytes, *, waive: bool
) -> tuple[WholeDelivery | None, RefusedFile | None]:
    try:
        return read_whole(reader, BytesIO(content), WAIVED if waive else OPTIONS), None
    except RefusedFile as error:
        return None, error


def found(delivery: WholeDelivery) -> tuple[str, str]:
    lines = delivery.lines
    return str(len(set(lines["record_no"].to_pylist()))), str(sum(lines["amount_minor"].to_pylist()))


def test_every_statement_whose_balances_tie_is_read(outcomes: list[Outcome]) -> None:
    tied = [one for one in outcomes if one.expected["balance_proof"] == "ok"]
    assert len(tied) > 100
    assert {one.path: str(one.refused) for one in tied if one.refused is not None} == {}


def test_what_is_read_has_the_entries_and_the_sum_that_independent_readers_found(
    outcomes: list[Outcome],
) -> None:
    for one in outcomes:
        for delivery in (one.delivery, one.waived):
            if delivery is not None:
                assert found(delivery) == (one.expected["lines"], one.expected["signed_minor"]), one.path


def test_what_several_readers_agree_on_is_read_here_too_or_refused_for_what_nobody_may_waive(
    outcomes: list[Outcome],
) -> None:
    agreed = [one for one in outcomes if one.expected["confidence"] == "consensus"]
    refused = {
        one.path.as_posix(): one.refused_anyway.code for one in agreed if one.refused_anyway is not None
    }
    told = {
        path: next((code for part, code in NOT_WAIVABLE.items() if part in path), "not told")
        for path in refused
    }
    assert refused == told
    assert len(agreed) == 368
    assert len(refused) == 19


def test_what_is_agreed_to_be_empty_has_no_line(outcomes: list[Outcome]) -> None:
    empty = [one for one in outcomes if one.expected["confidence"] == "consensus-empty"]
    assert len(empty) == 206
    assert all(one.delivery.lines.num_rows == 0 for one in empty if one.delivery is not None)
    reports = [one for one in empty if one.reader is camt_052]
    assert len(reports) == 177
    assert [one.path for one in reports if one.delivery is None] == []


def test_what_is_read_is_proved_statement_by_statement(outcomes: list[Outcome]) -> None:
    for one in outcomes:
        for statement in one.delivery.parsed.statements if one.delivery is not None else ():
            # a report within the day may tell only what is new, so that its balances need not tie
            assert not statement.flags or (one.reader is camt_052 and statement.closing_minor is None), (
                one.path
            )
            assert statement.interim == (one.reader is camt_052)
            if one.reader is camt_053:
                assert statement.opening_minor is not None, one.path
            if statement.opening_minor is not None:
                assert statement.opening_minor + statement.movement_minor == statement.closing_minor, one.path


def test_what_is_waived_is_flagged_and_its_balances_are_not_kept(outcomes: list[Outcome]) -> None:
    waived = [one for one in outcomes if one.waived is not None and one.refused is not None]
    assert len(waived) > 25
    for one in waived:
        assert one.refused is not None
        assert one.refused.code in WAIVABLE_CODES
        assert one.waived is not None
        flags = [flag for statement in one.waived.parsed.statements for flag in statement.flags]
        assert any(flag.startswith(f"waived: {one.refused.code}") for flag in flags), one.path
        if one.refused.code == "balance":
            assert any(statement.closing_minor is None for statement in one.waived.parsed.statements), (
                one.path
            )


def test_nothing_that_all_readers_reject_or_whose_balances_fail_is_read(outcomes: list[Outcome]) -> None:
    for one in outcomes:
        if one.expected["confidence"] == "rejected-by-all":
            assert one.waived is None, one.path
        fails = one.expected["balance_proof"] == "fails"
        if fails and one.reader is camt_052 and one.delivery is not None:
            flags = [flag for statement in one.delivery.parsed.statements for flag in statement.flags]
            assert any(flag.startswith("not demanded within the day: balance") for flag in flags), one.path
        elif fails or one.expected["confidence"] == "rejected-by-all":
            assert one.delivery is None, one.path


def test_statements_that_are_read_without_an_expected_proof_have_no_entries(outcomes: list[Outcome]) -> None:
    unproved = [
        one
        for one in outcomes
        if one.reader is camt_053 and one.delivery is not None and one.expected["balance_proof"] != "ok"
    ]
    assert {one.expected["lines"] for one in unproved} <= {"0"}


def test_every_refusal_names_a_reason_that_a_second_look_finds_too(outcomes: list[Outcome]) -> None:
    reasons = {
        one.path: (one.refused.code, true_reasons(one.path, one.reader)) for one in outcomes if one.refused
    }
    assert {path: pair for path, pair in reasons.items() if pair[0] not in pair[1]} == {}


def test_lines_that_are_read_point_at_their_entry_in_the_file(outcomes: list[Outcome]) -> None:
    located = 0
    for one in outcomes:
        if one.delivery is None or not one.delivery.lines.num_rows:
            continue
        content = one.path.read_bytes()
        columns = ("record_no", "byte_offset", "byte_length")
        places = set(zip(*(one.delivery.lines[name].to_pylist() for name in columns), strict=True))
        for _, offset, length in places:
            if offset is not None:
                located += 1
                raw = content[offset:][:length]
                assert etree.QName(etree.fromstring(without_prefix(raw))).localname == "Ntry", one.path
    assert located > 1_000


def without_prefix(raw: bytes) -> bytes:
    """An entry that can be parsed alone: prefixes that are declared above it are dropped."""
    prefix = raw[1:].partition(b"Ntry")[0]
    return raw.replace(b"<" + prefix, b"<").replace(b"</" + prefix, b"</") if prefix else raw


def test_every_file_is_either_read_or_refused_and_the_shares_are_told(
    outcomes: list[Outcome], record_testsuite_property: object
) -> None:
    shares = Counter((one.reader.NAME, one.refused.code if one.refused else "read") for one in outcomes)
    assert sum(shares.values()) == len(outcomes)
    assert {name: shares[name, "read"] for name in ("camt.052", "camt.053", "camt.054")} == {
        "camt.052": 191,
        "camt.053": 125,
        "camt.054": 206,
    }
    assert callable(record_testsuite_property)
    for (name, code), count in sorted(shares.items()):
        record_testsuite_property(f"corpora {name} {code}", count)


def true_reasons(path: Path, reader: Format) -> set[str]:
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
    _, container, element = REPORTS[reader]
    statements = [
        one
        for one in root.iterfind(f".//{{*}}{element}")
        if container in str(one.getparent().tag)  # type: ignore[union-attr]
    ]
    if not statements:
        reasons.add("not_this_format")
    for statement in statements:
        reasons |= entry_reasons(statement) | summary_reasons(statement)
        reasons |= balance_reasons(statement, required=element == "Stmt")
        if not statement.findtext("{*}Id"):
            reasons.add("structure")
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


def balance_reasons(statement: etree._Element, *, required: bool) -> set[str]:
    balances = [one for one in statement.findall("{*}Bal") if one.findtext(".//{*}Cd") in BOOKED_BALANCES]
    entries = statement.findall("{*}Ntry")
    amounts = [amount for one in balances + entries if (amount := one.find("{*}Amt")) is not None]
    if any(len((amount.text or "").strip().partition(".")[2].rstrip("0")) > 4 for amount in amounts):
        return {"amount"}
    currencies = {amount.get("Ccy") for amount in amounts} | {statement.findtext("{*}Acct/{*}Ccy")} - {None}
    if len(currencies) > 1 or not (currencies or required):
        return {"currency"}
    if len(balances) < (2 if entries else 1):
        return {"balance"} if required else set()
    first = {one.findtext(".//{*}Cd"): one for one in reversed(balances)}
    opening, closing = first.get("OPBD", first.get("PRCD")), first.get("CLBD")
    if opening is None or closing is None:
        return {"balance"} if required else set()
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
