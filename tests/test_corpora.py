"""Every real file is read as independent readers read it or refused for a reason; what is taken in is what was read."""

import csv
import io
from collections import Counter
from pathlib import Path

import pytest
from psycopg import Connection

from reconciliation.formats.canonical import WAIVABLE_CODES
from reconciliation.formats.registry import HEAD_BYTES, recognise
from reconciliation.intake import take_in
from reconciliation.sources import Source, parse_sources
from tests.corpora import READERS, Result, results
from tests.reconciliation.formats.camt_builder import OPTIONS

TRUE_REASONS = WAIVABLE_CODES | {
    "amount", "conflict", "currency", "date", "limit", "not_this_format", "structure", "truncated", "unsafe",
}  # fmt: skip


@pytest.fixture(scope="session")
def found(corpora: Path) -> tuple[Result, ...]:
    return tuple(results(corpora))


def test_every_folder_with_a_standard_has_its_files_looked_at(found: tuple[Result, ...]) -> None:
    count = Counter(result.sample.folder for result in found)
    assert set(count) == set(READERS)
    assert count.total() > 1_400


def test_what_is_read_has_the_count_and_the_total_that_independent_readers_found(
    found: tuple[Result, ...],
) -> None:
    compared = [result for result in found if result.agrees is not None]
    assert len(compared) > 850
    assert [result.sample.path for result in compared if not result.agrees] == []


def test_what_is_not_read_is_refused_for_a_reason_with_a_place_and_a_remedy(
    found: tuple[Result, ...],
) -> None:
    for result in found:
        if result.refusal is not None:
            assert result.refusal.code in TRUE_REASONS, result.sample.path
            for part in (
                result.refusal.place,
                result.refusal.expected,
                result.refusal.found,
                result.refusal.remedy,
            ):
                assert part.strip(), result.sample.path
                assert len(part) < 2_000, result.sample.path


def test_nothing_that_all_independent_readers_reject_is_read_without_a_flag(
    found: tuple[Result, ...],
) -> None:
    rejected = [result for result in found if result.sample.confidence == "rejected-by-all"]
    assert len(rejected) > 25
    assert [result.sample.path for result in rejected if result.outcome == "proved"] == []


def test_no_file_is_recognised_as_another_format(corpora: Path) -> None:
    with (corpora / "INDEX.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    wrong = []
    for row in rows:
        with (corpora / row["path"]).open("rb") as file:
            known = recognise(file.read(HEAD_BYTES))
        if known is not None and known not in READERS.get(row["format"], ()):
            wrong.append((row["path"], known))
    assert wrong == []


def source_for(result: Result) -> Source:
    """A source that knows exactly the accounts of one file."""
    assert result.whole is not None
    pairs = dict.fromkeys((told.account or "", told.asset) for told in result.whole.parsed.statements)
    accounts = "\n".join(
        f"      - {{external: {external!r}, asset: {asset}, ledger: 'assets:a{number}'}}"
        for number, (external, asset) in enumerate(pairs)
    )
    return parse_sources(
        f"version: 1\nsources:\n  - id: any\n    kind: bank\n    format: {result.format_name}\n"
        f"    start_date: 1990-01-01\n    accounts:\n{accounts}\n"
        "    match: {references: [{external: ref_psp, ledger: ref_psp}]}\n"
    )["any"]


def test_what_is_taken_in_is_what_was_read_and_what_is_refused_leaves_no_row(
    connection: Connection, found: tuple[Result, ...]
) -> None:
    taken = 0
    for result in found:
        if result.outcome != "proved" or result.whole is None or not result.whole.parsed.statements:
            continue
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL ROLE tieout_intake")
            (outcome,) = take_in(
                connection,
                source=source_for(result),
                file_name="file",
                stream=io.BytesIO(result.sample.path.read_bytes()),
                options=OPTIONS,
                format_name=result.format_name,
            )
            row = connection.execute(
                "SELECT count(*), coalesce(sum(amount_minor), 0), "
                "(SELECT count(*) FROM recon.provisional_line) FROM recon.line"
            ).fetchone()
        told = result.whole.parsed.statements
        booked = sum(one.line_count for one in told if not one.interim)
        moved = sum(one.movement_minor for one in told if not one.interim)
        expected = (0, 0) if outcome.refusal else (booked, moved)
        assert row is not None
        assert row[:2] == expected, (result.sample.path, outcome.sentence)
        if outcome.refusal:
            assert row[2] == 0, result.sample.path
        else:
            taken += 1
            assert outcome.provisional_count == result.whole.lines.num_rows - booked, result.sample.path
    assert taken > 700
