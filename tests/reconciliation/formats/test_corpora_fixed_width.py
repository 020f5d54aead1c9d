"""Every CODA, CFONB 120 and Cuaderno 43 file of the corpora is read and proved, or refused with the true reason.

What is true comes from `EXPECTED.csv` and from two readers by other people: febelfin-coda, whose asserts prove a file,
and aeb43. CFONB 120 has no second reader; its balances prove it.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from aeb43 import AEB43
from coda import CODA

from reconciliation.errors import RefusedFile
from reconciliation.formats import aeb43, cfonb120, coda
from reconciliation.formats.canonical import Format, WholeDelivery, read_whole
from reconciliation.formats.registry import recognise
from tests.reconciliation.formats import aeb43_builder, coda_builder
from tests.reconciliation.formats.camt_builder import OPTIONS
from tests.reconciliation.formats.fixed_width_builder import PROOFS, content_of, read_rows

READERS: dict[str, Format] = {"coda": coda, "cfonb120": cfonb120, "aeb43": aeb43}

# Refused though the proofs were waived, each looked at: parts of a path, the code.
TRUE_REASONS = {
    "sample2.cod": "conflict",  # anonymised: the new balance (8) is of another account than the old (1)
    "sample3.cod": "conflict",  # the account is masked in record 1 and not in record 8
    "sample4.cod": "conflict",  # the same
    "sample6.cod": "amount",  # 767.823 EUR: a third decimal that is not zero
    "end_of_statement_without_beginning": "structure",
    "invalid_date": "date",
    "new_statement_without_previous_ended": "truncated",
    "operation.txt": "structure",  # a movement before any old balance, as in the next two
    "operation_already_defined": "structure",
    "operation_out_of_statement": "structure",
    "operation_detail_without_operation": "structure",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    path: Path
    reader: Format
    expected: dict[str, str]
    strict: WholeDelivery | RefusedFile
    waived: WholeDelivery | RefusedFile


@pytest.fixture(scope="module")
def outcomes(corpora: Path) -> list[Outcome]:
    with (corpora / "EXPECTED.csv").open(newline="") as stream:
        expected = {row["path"]: row for row in csv.DictReader(stream)}
    return [
        Outcome(
            path=path,
            reader=reader,
            expected=expected.get(path.relative_to(corpora).as_posix(), {}),
            strict=attempt(reader, path, frozenset()),
            waived=attempt(reader, path, PROOFS),
        )
        for name, reader in READERS.items()
        for path in sorted((corpora / name).rglob("*"))
        if path.is_file()
    ]


def attempt(reader: Format, path: Path, waived: frozenset[str]) -> WholeDelivery | RefusedFile:
    try:
        with path.open("rb") as stream:
            return read_whole(reader, stream, replace(OPTIONS, waived=waived))
    except RefusedFile as refusal:
        return refusal


def entries_of(whole: WholeDelivery) -> tuple[str, str]:
    """Number of entries, a batch counted once, and their sum: as `EXPECTED.csv` writes them."""
    numbers, amounts = whole.lines["record_no"].to_pylist(), whole.lines["amount_minor"].to_pylist()
    return str(len(set(numbers))), str(sum(amounts))


def test_what_independent_readers_agree_on_is_read_the_same(outcomes: list[Outcome]) -> None:
    agreed = [one for one in outcomes if one.expected.get("confidence") == "consensus"]
    assert len(agreed) == 5
    for one in agreed:
        assert one.expected["balance_proof"] == "ok"
        assert isinstance(one.strict, WholeDelivery), one.path
        assert entries_of(one.strict) == (one.expected["lines"], one.expected["signed_minor"]), one.path


def test_whose_proof_fails_is_refused_and_readable_once_waived_unless_something_else_is_wrong(
    outcomes: list[Outcome],
) -> None:
    failing = [one for one in outcomes if one.expected.get("balance_proof") == "fails"]
    assert len(failing) == 12
    for one in failing:
        assert isinstance(one.strict, RefusedFile), one.path
        if isinstance(one.waived, RefusedFile):
            assert reason_of(one.path) == one.waived.code, one.path
        else:
            assert reason_of(one.path) is None, one.path
            assert entries_of(one.waived) == (one.expected["lines"], one.expected["signed_minor"]), one.path
            assert all(statement.flags for statement in one.waived.parsed.statements), one.path


def test_what_all_readers_reject_is_refused_whatever_is_waived(outcomes: list[Outcome]) -> None:
    rejected = [one for one in outcomes if one.expected.get("confidence") == "rejected-by-all"]
    assert len(rejected) == 7
    for one in rejected:
        assert isinstance(one.strict, RefusedFile), one.path
        assert isinstance(one.waived, RefusedFile), one.path
        assert reason_of(one.path) == one.waived.code, one.path


def test_what_is_read_is_proved_statement_by_statement(outcomes: list[Outcome]) -> None:
    read = [one for one in outcomes if isinstance(one.strict, WholeDelivery)]
    assert Counter(one.expected.get("confidence", "unknown") for one in read) == {
        "consensus": 5,
        "single": 1,
        "unknown": 1,
    }
    for statement in (statement for one in read for statement in one.strict.parsed.statements):  # type: ignore[union-attr]
        assert statement.opening_minor is not None
        assert statement.opening_minor + statement.movement_minor == statement.closing_minor
        assert statement.flags == ()


def test_every_file_that_begins_like_its_standard_is_recognised(outcomes: list[Outcome]) -> None:
    for one in outcomes:
        if isinstance(one.waived, WholeDelivery):
            assert recognise(one.path.read_bytes()) == one.reader.NAME, one.path


def reason_of(path: Path) -> str | None:
    return next((code for part, code in TRUE_REASONS.items() if part in path.name), None)


# --- readers by other people


def coda_entries(source: str) -> list[tuple[str, Decimal]]:
    """Bank's reference and amount of each movement and detail, by febelfin-coda."""
    found = []
    for statement in CODA(StringIO(source)).statements:
        for move in statement.moves:
            found += [(one.bank_reference.strip(), one.amount) for one in (move.moves or [move])]
    return found


def our_entries(whole: WholeDelivery) -> list[tuple[str, Decimal]]:
    rows = whole.lines.to_pylist()
    return [(row["ref_servicer"] or "", Decimal(row["amount_minor"]) / 100) for row in rows]


def test_febelfin_coda_reads_the_same_movements_from_every_file_that_it_proves(
    outcomes: list[Outcome],
) -> None:
    read = [one for one in outcomes if one.reader is coda and isinstance(one.strict, WholeDelivery)]
    assert len(read) == 5
    for one in read:
        assert our_entries(one.strict) == coda_entries(one.path.read_text("cp1252")), one.path  # type: ignore[arg-type]


def test_febelfin_coda_proves_and_reads_invented_files_alike() -> None:
    details = [
        coda_builder.Item(amount=250_000, code="50550000", bank_ref="D-1"),
        coda_builder.Item(amount=750_000, code="50550000", bank_ref="D-2", information=[("1", "001CLIENT")]),
    ]
    batch = coda_builder.Item(amount=1_000_000, code="10550000", details=details)
    single = coda_builder.Item(amount=-12_340, name="SUPPLIER", structured="101090933755493")
    rows = coda_builder.statement([batch, single])
    whole = read_rows(coda, rows)
    assert our_entries(whole) == coda_entries(content_of(rows).decode("cp1252"))
    (theirs,) = CODA(StringIO(content_of(rows).decode("cp1252"))).statements
    (ours,) = whole.parsed.statements
    assert (ours.account, ours.asset) == (theirs.account, theirs.account_currency)
    assert (ours.to_date, Decimal(ours.closing_minor or 0) / 100) == (
        theirs.new_balance_date,
        theirs.new_balance,
    )
    assert theirs.moves[1].communication == "090933755493"


def aeb43_facts(source: str) -> Iterator[tuple[Any, ...]]:
    for account in AEB43(StringIO(source)).accounts:
        key = account.bank_code + account.branch_code + account.number
        yield key, account.start_date, account.end_date, account.initial_balance, account.final_balance
        for one in account.transactions:
            yield one.transaction_date, one.value_date, one.amount, f"{one.shared_item}-{one.own_item}"


def our_aeb43_facts(whole: WholeDelivery) -> Iterator[tuple[Any, ...]]:
    rows = whole.lines.to_pylist()
    for number, one in enumerate(whole.parsed.statements):
        balances = [Decimal(minor or 0) / 100 for minor in (one.opening_minor, one.closing_minor)]
        yield one.account, one.from_date, one.to_date, *balances
        for row in rows:
            if row["statement_no"] == number:
                amount = Decimal(row["amount_minor"]) / 100
                yield row["booking_date"], row["value_date"], amount, row["type_code"]


def test_aeb43_reads_the_same_accounts_and_movements(outcomes: list[Outcome]) -> None:
    (one,) = [one for one in outcomes if one.reader is aeb43]
    assert isinstance(one.strict, WholeDelivery)
    assert list(our_aeb43_facts(one.strict)) == list(aeb43_facts(one.path.read_text("cp1252")))
    invented = aeb43_builder.aeb43_file(
        aeb43_builder.account(
            [aeb43_builder.Item(minor=2_550, texts=["A", "B"]), aeb43_builder.Item(minor=-1)]
        ),
        aeb43_builder.account([], opening=-300, key="008102000007654321"),
    )
    content = content_of(invented).decode("cp1252")
    whole = read_whole(aeb43, BytesIO(content.encode("cp1252")), OPTIONS)
    assert list(our_aeb43_facts(whole)) == list(aeb43_facts(content))
