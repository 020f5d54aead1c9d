"""Real BAI2 files: read with the figures that independent readers found, or refused for a reason that was looked up."""

import csv
import dataclasses
from collections import Counter
from pathlib import Path

import pytest
from bai2 import bai2 as bai2_package
from bai2.exceptions import IntegrityException, NotSupportedYetException, ParsingException

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import WholeDelivery
from tests.reconciliation.formats.bai2_builder import GOOD, account, delivery, group, movement, read
from tests.reconciliation.formats.camt_builder import OPTIONS

WAIVING = dataclasses.replace(OPTIONS, waived=frozenset({"balance", "control_total", "sequence"}))

# Why a file that other readers take is refused even when every proof is waived; each was looked at.
TRUE_REASONS = {
    # One account told four times for one day.
    "tests__test_bai2.py.L155.bai": "conflict",
    # An account or group that is not closed before the next one starts.
    "examples__02_summarize_file.py.L19.bai": "structure",
    "tests__test_loader.py.L436.bai": "structure",
    "tests__test_mutation_kills.py.L254.bai": "structure",
    # A 16 without an amount.
    "tests__test_loader.py.L175.bai": "amount",
    # An 88 of prose where an account's balances stand.
    "tests__test_loader.py.L355.bai": "structure",
    "tests__test_mutation_kills.py.L216.bai": "structure",
    # Records that are not BAI2's: 17, "/", "88:".
    "tests__test_loader.py.L382.bai": "structure",
    "tests__test_mutation_kills.py.L308.bai": "structure",
    "tests__test_loader.py.L504.bai": "structure",
    "tests__test_loader.py.L627.bai": "structure",
    # A month 13.
    "tests__test_loader.py.L412.bai": "date",
    # A group header without status and date.
    "tests__test_loader.py.L544.bai": "structure",
}
# In what only one reader takes, or on what they differ: fields in other places, type codes without a direction.
DISPUTED_CODES = {"structure", "truncated", "control_total"}


@pytest.fixture(scope="module")
def expected(corpora: Path) -> dict[Path, dict[str, str]]:
    with (corpora / "EXPECTED.csv").open(newline="") as stream:
        return {corpora / row["path"]: row for row in csv.DictReader(stream) if row["format"] == "bai2"}


def figures(whole: WholeDelivery) -> tuple[str, str]:
    statements = whole.parsed.statements
    return str(sum(one.line_count for one in statements)), str(sum(one.movement_minor for one in statements))


def outcome(content: bytes, options: object = OPTIONS) -> tuple[str, tuple[str, str] | None]:
    try:
        return "read", figures(read(content, options))  # type: ignore[arg-type]
    except RefusedFile as refused:
        return refused.code, None


def test_every_file_that_proves_is_read_with_the_figures_of_the_other_readers(
    expected: dict[Path, dict[str, str]], record_testsuite_property: object
) -> None:
    codes: Counter[str] = Counter()
    for path, row in expected.items():
        code, found = outcome(path.read_bytes())
        codes[code] += 1
        if found is not None:
            assert found == (row["lines"], row["signed_minor"]), path
        if row["control_totals"] == "ok":
            assert code in {"read", "balance"}, path  # two samples open and close with one made-up balance
    assert codes["read"] == 7
    assert callable(record_testsuite_property)
    for code, count in sorted(codes.items()):
        record_testsuite_property(f"corpora bai2 {code}", count)


def test_waived_and_completed_files_agree_with_the_consensus(expected: dict[Path, dict[str, str]]) -> None:
    """Samples that were cut off before their trailers are completed here, so that what they say can be compared."""
    agreed = 0
    for path, row in expected.items():
        content = path.read_bytes()
        code, found = outcome(content, WAIVING)
        if code == "truncated":
            code, found = outcome(content + b"\n49,,/\n98,,,/\n99,,,/\n", WAIVING)
        if not row["confidence"].startswith("consensus"):
            assert code in DISPUTED_CODES or found == (row["lines"], row["signed_minor"]), path
        elif path.name in TRUE_REASONS:
            assert code == TRUE_REASONS[path.name], path
        else:
            assert found == (row["lines"], row["signed_minor"]), path
            agreed += 1
    assert agreed == sum(row["confidence"].startswith("consensus") for row in expected.values()) - len(
        TRUE_REASONS
    )


def package_figures(text: str, *, check_integrity: bool) -> tuple[str, str] | None:
    """Count and signed sum of transactions by the package; None where it cannot read the file."""
    try:
        parsed = bai2_package.parse_from_string(text, check_integrity=check_integrity)
    except (IntegrityException, NotSupportedYetException, ParsingException, ValueError, LookupError):
        return None
    amounts = [
        (transaction.amount or 0) * (1 if transaction.type_code.code < "400" else -1)
        for one_group in parsed.children
        for one_account in one_group.children
        for transaction in one_account.children
    ]
    return str(len(amounts)), str(sum(amounts))


INVENTED = (
    GOOD,
    delivery(
        group(
            account(movement(), movement("475", "10"), amounts=""),
            account(movement(), movement("699", "3", text="a, b / c"), number="9", amounts="015,7,,"),
        ),
        group(
            account(
                movement("142", "1", funds="V,261118,"), movement("409", "5", funds="S,1,2,2"), number="77"
            )
        ),
    ).replace("015,12500", "015,9996"),
)


def test_the_bai2_package_finds_the_same_figures(expected: dict[Path, dict[str, str]]) -> None:
    compared = 0
    for text in (*INVENTED, *(path.read_text() for path in expected)):
        for check_integrity in (True, False):
            theirs = package_figures(text, check_integrity=check_integrity)
            code, ours = outcome(text.encode(), OPTIONS if check_integrity else WAIVING)
            if theirs is not None and ours is not None:
                assert ours == theirs
                compared += 1
            elif theirs is not None:
                assert code in {"balance", "conflict", "control_total"}  # which the package does not look at
    assert compared == 21  # four of them are the invented files
