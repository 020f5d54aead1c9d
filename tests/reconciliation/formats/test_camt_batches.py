"""Entries with very many details: the same lines as those of small ones, in little memory."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from reconciliation.formats import camt_053
from reconciliation.formats.camt_parts import details as camt_details
from reconciliation.formats.canonical import LINES_PER_BATCH
from tests.reconciliation.formats.camt_builder import (
    OPTIONS,
    column,
    detail,
    document,
    entry,
    read,
    refusal,
    statement,
)


def batched(count: int, *, more: str = "", last: str = "1.00", total: int | None = None) -> str:
    """An entry of so many details in two groups, of which every other has a text of its own."""
    text = "<RmtInf><Ustrd>own</Ustrd></RmtInf>"
    details = [
        detail("1.00", refs=f"<EndToEndId>E{number}</EndToEndId>", more=text if number % 2 else "")
        for number in range(count - 1)
    ]
    details.append(detail(last, refs="<EndToEndId>LAST</EndToEndId>"))
    first, second = details[: count // 3], details[count // 3 :]
    groups = (
        f"<NtryDtls><Btch><PmtInfId>B1</PmtInfId><NbOfTxs>{len(first)}</NbOfTxs></Btch>{''.join(first)}</NtryDtls>"
        f"<NtryDtls><Btch><PmtInfId>B2</PmtInfId></Btch>{''.join(second)}</NtryDtls>"
    )
    amount = count if total is None else total
    booked = entry(f"{amount}.00", details=f"{groups}<AddtlNtryInf>batch</AddtlNtryInf>{more}")
    return document(statement(booked, entry("5.00", ref="NEXT"), closing=f"{amount + 105}.00"))


@pytest.fixture(name="small_runs")
def _small_runs(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Runs of lines begin at the third detail, and are packed at the fifth."""

    def begin() -> None:
        monkeypatch.setattr("reconciliation.formats.camt_parts.reader.DETAILS_HELD", 3)
        monkeypatch.setattr(camt_details, "LINES_PER_BATCH", 5)

    return begin


@pytest.mark.parametrize("count", [3, 4, 5, 8, 9, 30])
def test_lines_do_not_depend_on_how_many_details_are_held(count: int, small_runs: Callable[[], None]) -> None:
    plain = read(batched(count))
    small_runs()
    packed = read(batched(count))
    assert packed.lines.equals(plain.lines)
    assert packed.parsed == plain.parsed
    assert column(plain, "text")[:3] == ["batch", "own", "batch"]
    assert column(plain, "detail_no") == [*range(1, count + 1), None]
    assert column(plain, "batch_ref")[0] == "B1"
    assert column(plain, "batch_ref")[count - 1 :] == ["B2", None]


@pytest.mark.parametrize("last", ["2.00", "x"])
def test_many_details_that_do_not_add_up_leave_their_entry_whole(
    last: str, small_runs: Callable[[], None]
) -> None:
    content = (
        batched(30, last="1.00", total=31)
        if last == "2.00"
        else batched(30).replace(
            '<EndToEndId>LAST</EndToEndId></Refs><Amt Ccy="EUR">',
            '<EndToEndId>LAST</EndToEndId></Refs><Amt Ccy="USD">',
        )
    )
    plain = read(content)
    small_runs()
    packed = read(content)
    assert column(packed, "amount_minor") == column(plain, "amount_minor")
    assert packed.lines.num_rows == 2
    assert packed.lines.equals(plain.lines)


def test_what_many_details_depend_on_may_not_come_after_them() -> None:
    late = "<RvslInd>true</RvslInd>"
    assert read(batched(900, more=late)).lines.num_rows == 901
    wrong = refusal(batched(3_000, more=late))
    assert (wrong.code, wrong.place) == ("structure", "statement 1, entry 1 (BANK1), NtryDtls")


def test_a_wrong_count_over_many_details_is_refused(small_runs: Callable[[], None]) -> None:
    small_runs()
    wrong = refusal(batched(30).replace("<NbOfTxs>10<", "<NbOfTxs>11<"))
    assert (wrong.code, wrong.place) == (
        "control_total",
        "statement 1, entry 1 (BANK1), NtryDtls/Btch/NbOfTxs",
    )


def test_a_bad_detail_among_many_is_refused_with_its_entry(small_runs: Callable[[], None]) -> None:
    small_runs()
    wrong = refusal(batched(30, last="1E3"))
    assert (wrong.code, wrong.place) == ("amount", "statement 1, entry 1, TxDtls/Amt")


def test_lines_leave_while_the_file_is_being_read() -> None:
    count = LINES_PER_BATCH + 1_000
    entries = [entry("1.00", ref=f"R{number}") for number in range(count)]
    content = document(statement(*entries, closing=f"{count + 100}.00")).encode()
    position = 0
    seen: list[tuple[int, int]] = []

    class Watched:
        def read(self, size: int = -1) -> bytes:
            nonlocal position
            start, position = position, min(len(content), position + size)
            return content[start:position]

    def emit(batch: pa.RecordBatch) -> None:
        seen.append((batch.num_rows, position))

    stream: Any = Watched()
    parsed = camt_053.read(stream, OPTIONS, emit)
    assert [rows for rows, _ in seen] == [LINES_PER_BATCH, 1_000]
    assert seen[0][1] < len(content)
    assert parsed.statements[0].line_count == count
