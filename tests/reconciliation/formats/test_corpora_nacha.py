"""Real NACHA files: read with the figures that another reader found, or refused for a reason that was looked up.

No foreign reader proves NACHA, so `EXPECTED.csv` has only the figures of one reader for it. Its sums take credits and
debits by their codes alone; here returns turn the money round, so what is compared is the sum by codes.
"""

import csv
import dataclasses
from collections import Counter
from pathlib import Path

import pytest
from ach import parser as ach_package

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import ReadOptions, WholeDelivery
from tests.reconciliation.formats.camt_builder import OPTIONS
from tests.reconciliation.formats.nacha_builder import GOOD, batch, delivery, entry, header, read, remittance

WAIVING = dataclasses.replace(OPTIONS, waived=frozenset({"balance", "control_total", "sequence"}))

# Files that are refused even when every proof is waived; each was looked at.
TRUE_REASONS = {
    # Batches without the file around them; two of them damaged on purpose.
    **dict.fromkeys(
        (
            "issue751.ach",
            "bh-ed-ad-bh-ed-ad-ed-ad.ach",
            "crashers/0.ach",
            "crashers/2.ach",
            "crashers/4.ach",
            "crashers/5.ach",
            "return-no-batch-controls.ach",
            "return-no-batch-header.ach",
            "forward.ach",
            "recon.ach",
            "odfi/testdata/return.ach",
            "partial-recon.ach",
        ),
        "not_this_format",
    ),
    "iterator_test.go.L227.ach": "truncated",
    "iterator_test.go.L194.ach": "amount",  # totals of the file control cut short
    "1k8RecordFollowing9Record.txt": "structure",  # file control inside a batch
    "iat-batchHeaderErr.ach": "structure",  # a batch that is not closed before the next
    "iat-invalidEntryDetail.ach": "structure",  # transaction code 90
    "invalid-two-micro-deposits.ach": "amount",  # 00CCC00004
}
# Files whose controls hold in the figures, but not in what identifies the batch.
OTHER_CONTROLS = {
    "iat-invalidBatchControl.ach",  # another institution than its header
    "iat-invalidBatchHeader.ach",  # another service class
}


@pytest.fixture(scope="module")
def expected(corpora: Path) -> dict[Path, dict[str, str]]:
    with (corpora / "EXPECTED.csv").open(newline="") as stream:
        return {corpora / row["path"]: row for row in csv.DictReader(stream) if row["format"] == "nacha"}


def by_code(whole: WholeDelivery) -> tuple[str, str]:
    """Number of entries, and credits less debits as their transaction codes say."""
    lines = whole.lines.select(["amount_minor", "type_code"]).to_pylist()
    total = sum(abs(line["amount_minor"]) * (1 if line["type_code"][-1] in "1234" else -1) for line in lines)
    return str(len(lines)), str(total)


def outcome(content: bytes, options: ReadOptions = OPTIONS) -> tuple[str, tuple[str, str] | None]:
    try:
        return "read", by_code(read(content, options))
    except RefusedFile as refused:
        return refused.code, None


def test_every_file_whose_controls_hold_is_read_and_no_other(
    expected: dict[Path, dict[str, str]], record_testsuite_property: object
) -> None:
    codes: Counter[str] = Counter()
    for path, row in expected.items():
        code, found = outcome(path.read_bytes())
        codes[code] += 1
        if row["control_totals"] == "ok" and path.name not in OTHER_CONTROLS:
            assert found == (row["lines"], row["signed_minor"]), path
        else:
            assert found is None, path
    assert codes["read"] == 85
    assert callable(record_testsuite_property)
    for code, count in sorted(codes.items()):
        record_testsuite_property(f"corpora nacha {code}", count)


def test_every_other_file_is_read_when_waived_or_refused_for_a_true_reason(
    expected: dict[Path, dict[str, str]],
) -> None:
    for path, row in expected.items():
        code, found = outcome(path.read_bytes(), WAIVING)
        name = next((name for name in TRUE_REASONS if str(path).endswith(name)), None)
        if row["confidence"] == "rejected-by-all":
            assert name is not None, path
        if name is not None and found is None:
            assert code == TRUE_REASONS[name], path
        else:
            assert found == (row["lines"], row["signed_minor"]), path


def test_flattened_and_cut_copies_of_the_real_files_are_read_alike_or_refused(
    expected: dict[Path, dict[str, str]],
) -> None:
    compared = 0
    for path in expected:
        content = path.read_bytes()
        _, found = outcome(content)
        if found is None or len(content) > 20_000:
            continue
        records = [line.ljust(94) for line in content.decode().splitlines() if line.strip()]
        if all(len(record) == 94 and record.isascii() for record in records):
            assert outcome("".join(records).encode())[1] == found, path
            compared += 1
        for count in range(len([record for record in records if record.strip("9")])):
            assert outcome("\n".join(records[:count]).encode())[1] is None, path
    assert compared > 70


def package_figures(text: str) -> tuple[str, str]:
    """Number of entries and sum of their amounts, whatever their direction, by the package."""
    entries = [
        one_entry
        for one_batch in ach_package.Parser(text).ach_data["batches"]
        for one_entry in one_batch["entries"]
    ]
    return str(len(entries)), str(sum(int(one_entry["entry_detail"]["amount"]) for one_entry in entries))


def test_the_ach_package_finds_the_same_entries_and_amounts(expected: dict[Path, dict[str, str]]) -> None:
    invented = [
        GOOD,
        delivery(
            *(
                batch(
                    entry("22", 10_000 + number, number=number, addenda="1"),
                    remittance(f"NOTE {number}", number=number),
                    head=header(number=number, entry_class="CCD"),
                )
                for number in range(1, 30)
            )
        ),
    ]
    compared = 0
    for text in (*invented, *(path.read_text(encoding="cp1252") for path in expected)):
        code, _ = outcome(text.encode("cp1252"), WAIVING)
        if code != "read":
            continue
        lines = read(text.encode("cp1252"), WAIVING).lines
        ours = str(lines.num_rows), str(sum(abs(amount) for amount in lines["amount_minor"].to_pylist()))
        assert package_figures(text) == ours
        compared += 1
    assert compared > 90
