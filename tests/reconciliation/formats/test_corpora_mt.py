"""Every MT94x file of the corpora is read and proved, read with a waiver, or refused with the true reason.

What is true comes from `EXPECTED.csv`: where independent readers agree (`consensus`), number and signed total of the
entries are theirs. The refusals of such files are listed here one by one, with what was seen in the file.
"""

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciliation.errors import RefusedFile
from reconciliation.formats import mt940, mt942, mt950
from reconciliation.formats.canonical import Format, WholeDelivery
from reconciliation.formats.registry import HEAD_BYTES, recognise
from tests.reconciliation.formats.mt_builder import ALL_WAIVED, OPTIONS, read

READERS: dict[str, Format] = {"mt940": mt940, "mt942": mt942, "mt950": mt950}
REFUSED_CONSENSUS = {
    # no closing balance: cut, or a message without its end before the next one
    "StatementParserTests.cs.L362.txt": "truncated",
    "StatementParserTests.cs.L677.txt": "truncated",
    "self-provided/gv_codes.sta": "truncated",
    "Rabo__ParseTest.php.L78.txt": "truncated",
    "fixtures/sepa_snippet_broken_3.sta": "truncated",
    "DKB__GetStatementOfAccountTest.php.L14.txt": "truncated",
    "fixtures/mt940-with-colon-after-line-break.txt": "truncated",
    "knab/knab_invalid.txt": "truncated",
    # MT942 with neither sums nor an end mark
    "loader-mt942/_embedded/tests__test_loader.py.L479.txt": "truncated",
    "loader-mt942/_embedded/tests__test_loader.py.L492.txt": "truncated",
    "loader-mt942/_embedded/tests__test_loader.py.L505.txt": "truncated",
    # entries without an opening balance
    "StatementParserTests.cs.L247.txt": "structure",
    "mt940/MT940-optional.txt": "structure",
    # a text in code page 852; it is read with the setting encoding, see below
    "self-provided/raiffeisen-cmi.sta": "structure",
    # closing balance in EUP; floor limits in EUR and in GBP
    "CurrencyMismatchTests.cs.L47.txt": "currency",
    "loader-mt942/_embedded/tests__test_loader.py.L152.txt": "currency",
    # the same page of the same statement twice: its entries would count twice
    "docs/MT940_voorbeeldbestanden_abnamro.txt": "conflict",
    "mt940/mt940/MT940.txt": "conflict",
}

TIED_AFTER_ALL = [
    "no-decimal-amounts.sta",  # each of its two statements ties
    "two_accounts.txt",  # all four tie; an end-of-file mark of DOS stands before the last
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    path: str
    expected: dict[str, str]
    delivery: WholeDelivery | None
    refused: RefusedFile | None
    waived: bool
    reader: str | None

    def found(self) -> tuple[str, str]:
        assert self.delivery is not None
        rows = self.delivery.lines.select(["status", "amount_minor"]).to_pylist()
        booked = [row["amount_minor"] for row in rows if row["status"] == "booked"]
        return str(len(booked)), str(sum(booked))


@pytest.fixture(scope="module")
def outcomes(corpora: Path) -> list[Outcome]:
    with (corpora / "EXPECTED.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["format"] == "mt94x"]
    return [outcome(corpora / row["path"], row) for row in rows]


def outcome(path: Path, expected: dict[str, str]) -> Outcome:
    content = path.read_bytes()
    name = recognise(content[:HEAD_BYTES])
    delivery, refused, waived = None, None, False
    for options in (OPTIONS, ALL_WAIVED):
        try:
            delivery, waived = read(content, READERS.get(name or "", mt940), options), options is ALL_WAIVED
            break
        except RefusedFile as error:
            refused = error
    return Outcome(
        path=expected["path"],
        expected=expected,
        delivery=delivery,
        refused=refused if delivery is None else None,
        waived=waived,
        reader=name,
    )


def test_what_is_read_has_the_entries_and_the_sum_that_independent_readers_found(
    outcomes: list[Outcome],
) -> None:
    compared = [
        one
        for one in outcomes
        if one.expected["confidence"].startswith("consensus") and one.delivery is not None
    ]
    assert len(compared) > 250
    wrong = {
        one.path: one.found()
        for one in compared
        if one.found() != (one.expected["lines"], one.expected["signed_minor"])
    }
    assert wrong == {}


def test_every_consensus_file_that_is_refused_is_refused_for_a_reason_seen_in_it(
    outcomes: list[Outcome],
) -> None:
    refused = {
        one.path: one.refused.code
        for one in outcomes
        if one.expected["confidence"] == "consensus" and one.refused is not None
    }
    told = {path: code for path in refused for end, code in REFUSED_CONSENSUS.items() if path.endswith(end)}
    assert refused == told
    assert len(told) == len(REFUSED_CONSENSUS)


def test_statements_whose_balances_tie_are_read_without_a_waiver(outcomes: list[Outcome]) -> None:
    needed = [
        one.path
        for one in outcomes
        if one.expected["confidence"] == "consensus" and one.expected["balance_proof"] == "ok" and one.waived
    ]
    assert needed == []


def test_statements_whose_balances_fail_are_read_with_a_waiver_only(outcomes: list[Outcome]) -> None:
    read_at_once = [
        one.path
        for one in outcomes
        if one.expected["balance_proof"] == "fails" and one.delivery is not None and not one.waived
    ]
    assert [path.rpartition("/")[2] for path in read_at_once] == TIED_AFTER_ALL


def test_what_is_read_is_proved_or_flagged(outcomes: list[Outcome]) -> None:
    for one in outcomes:
        for told in one.delivery.parsed.statements if one.delivery is not None else ():
            if told.opening_minor is not None and told.closing_minor is not None:
                assert told.opening_minor + told.movement_minor == told.closing_minor, one.path
            else:
                assert told.interim or told.flags, one.path


def test_what_all_readers_reject_and_what_is_no_statement_is_refused(outcomes: list[Outcome]) -> None:
    rejected = [one for one in outcomes if one.expected["confidence"] == "rejected-by-all"]
    assert Counter(one.refused.code if one.refused else "read" for one in rejected) == {
        "structure": 5,
        "amount": 1,
    }
    others = [one for one in outcomes if one.expected["confidence"] == "not-a-statement"]
    assert {one.refused.code if one.refused else "read" for one in others} == {"not_this_format"}
    assert {one.reader for one in others} & set(READERS) == set()


def test_the_whole_of_the_corpora_comes_out_as_told(outcomes: list[Outcome]) -> None:
    consensus = Counter(
        one.refused.code if one.refused else "waived" if one.waived else "read"
        for one in outcomes
        if one.expected["confidence"] == "consensus"
    )
    assert consensus == {
        "read": 143,
        "waived": 103,
        "truncated": 11,
        "structure": 3,
        "currency": 2,
        "conflict": 2,
    }


def test_a_file_in_an_old_code_page_is_read_where_its_source_says_so(corpora: Path) -> None:
    path = "mt94x/WoLpH+mt940/mt940_tests/self-provided/raiffeisen-cmi.sta"
    delivery = read((corpora / path).read_bytes(), mt940, ALL_WAIVED, encoding="ibm852")
    assert (delivery.lines.num_rows, sum(delivery.lines["amount_minor"].to_pylist())) == expected_of(
        corpora, path
    )


def expected_of(corpora: Path, path: str) -> tuple[int, int]:
    with (corpora / "EXPECTED.csv").open(newline="") as stream:
        row = next(row for row in csv.DictReader(stream) if row["path"] == path)
    return int(row["lines"]), int(row["signed_minor"])


def test_the_same_file_with_other_line_ends_is_read_alike(corpora: Path, outcomes: list[Outcome]) -> None:
    for one in outcomes:
        if one.delivery is None or one.expected["confidence"] != "consensus":
            continue
        content = (corpora / one.path).read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        reader = READERS[one.reader or "mt940"]
        at_lf = read(content, reader, ALL_WAIVED).lines.drop_columns(["byte_offset", "byte_length"])
        for end in (b"\r", b"\r\n"):
            again = read(content.replace(b"\n", end), reader, ALL_WAIVED).lines
            assert again.drop_columns(["byte_offset", "byte_length"]).equals(at_lf), one.path
