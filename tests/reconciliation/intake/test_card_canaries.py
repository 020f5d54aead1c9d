"""Card numbers, tracks and verification codes planted into every field of every format reach nothing that is kept."""

import re
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import fsspec
import pytest
from psycopg import Connection, sql

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import ParsedDelivery, WholeDelivery
from reconciliation.formats.registry import FORMATS
from reconciliation.intake import list_deliveries, take_in
from reconciliation.intake.card_sweep import CardSweep
from reconciliation.intake.store import DeliveryStore
from reconciliation.sources import Source
from tests.reconciliation.formats.canaries import (
    COMPRESSED,
    FIXED_WIDTH,
    MASTERCARD,
    VISA,
    WRITINGS,
    holds_card,
    leaks,
    places,
    planted,
)
from tests.reconciliation.formats.good_files import (
    EBCDIC_IPM,
    GOOD_FILES,
    ROWS,
    WAIVED,
    GoodFile,
    outcome_of,
    parquet_of,
    workbook_of,
)
from tests.reconciliation.intake.builder import BANK, STRIPE

FORMAT_NAMES = sorted(
    FORMATS.keys() - COMPRESSED
)  # fields of the others are planted below, before compression
TRACK, CODE = f"{VISA}=29121010000012300000", "CVV2: 123"


def kept(outcome: WholeDelivery | RefusedFile, good: GoodFile) -> WholeDelivery | None:
    """What intake would hand to the store; a refusal shows no card number."""
    if isinstance(outcome, RefusedFile):
        assert not holds_card(outcome), outcome
        return None
    sweep = CardSweep(good.options.card_tokens)
    try:
        lines = sweep.lines(outcome.lines)
        return WholeDelivery(parsed=sweep.delivery(outcome.parsed), lines=lines)
    except RefusedFile as refusal:
        return kept(refusal, good)


def told(parsed: ParsedDelivery) -> Iterator[object]:
    yield from (parsed.file_reference, parsed.format_version, *parsed.notes)
    for statement in parsed.statements:
        yield from (statement.statement_ref, statement.sequence_no, *statement.proofs, *statement.flags)


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_a_card_number_in_any_field_of_any_format_comes_to_no_column_and_no_message(name: str) -> None:
    good, read = WAIVED[name], 0
    for writing in WRITINGS[:2]:
        for content in planted(name, good.content, writing):
            whole = kept(outcome_of(FORMATS[name], content, good.options), good)
            if whole is not None:
                read += 1
                assert not leaks(whole.lines)
                assert not any(map(holds_card, told(whole.parsed)))
    assert read, "fields of free content exist in every format"


@pytest.mark.parametrize(("name", "packed"), [("mapped.parquet", parquet_of), ("mapped.xlsx", workbook_of)])
def test_a_card_number_in_any_cell_of_a_compressed_table_comes_to_no_column(
    name: str, packed: Callable[[Mapping[str, list[str]]], bytes]
) -> None:
    good, read = GOOD_FILES[name], 0
    for column, cells in ROWS.items():
        for writing in WRITINGS:
            content = packed({**ROWS, column: [cells[0], writing, *cells[2:]]})
            whole = kept(outcome_of(FORMATS[name], content, good.options), good)
            read += whole is not None
            assert whole is None or not leaks(whole.lines)
    assert read >= len(WRITINGS), "the columns of words and references are free"


@pytest.mark.parametrize("writing", WRITINGS)
def test_a_card_number_in_any_stretch_of_an_ebcdic_clearing_file_comes_to_no_column(writing: str) -> None:
    for content in planted("mastercard.ipm", EBCDIC_IPM.content, writing, "cp500"):
        whole = kept(outcome_of(FORMATS["mastercard.ipm"], content, EBCDIC_IPM.options), EBCDIC_IPM)
        assert whole is None or not leaks(whole.lines)


def test_it_is_the_sweep_that_keeps_references_clean() -> None:
    leaking = set()
    for name in FORMAT_NAMES:
        good = GOOD_FILES[name]
        for content in planted(name, good.content, VISA):
            outcome = outcome_of(FORMATS[name], content, good.options)
            if isinstance(outcome, WholeDelivery):
                leaking |= leaks(outcome.lines).keys()
    assert {"native_id", "ref_end_to_end", "ref_merchant", "ref_psp", "other_refs", "batch_ref"} <= leaking


@pytest.mark.parametrize("name", FORMAT_NAMES)
@pytest.mark.parametrize("secret", [TRACK, CODE])
def test_track_data_and_verification_codes_refuse_the_file_wherever_they_stand(
    name: str, secret: str
) -> None:
    good, codes = GOOD_FILES[name], set()
    for content in planted(name, good.content, secret):
        outcome = outcome_of(FORMATS[name], content, good.options)
        if isinstance(outcome, RefusedFile):
            codes.add(outcome.code)
            continue
        sweep = CardSweep(good.options.card_tokens)
        try:
            lines = sweep.lines(outcome.lines)
        except RefusedFile as refusal:
            codes.add(refusal.code)
            continue
        whole = re.compile(
            rf"(?<!\w){re.escape(secret)}(?!\d)"
        )  # a field that cuts it leaves nothing to know it by
        assert not whole.search(str(lines.to_pylist()))
    assert "sensitive_data" in codes or (name, secret) == ("visa.base2", TRACK), "no Visa field is as long"


def all_fields_planted(name: str, good: GoodFile, writing: str) -> tuple[bytes, int]:
    """One file with the number in every field at once that is free to hold it, and how many these are."""
    content, count = good.content, 0
    plain = outcome_of(FORMATS[name], content, good.options)
    assert isinstance(plain, WholeDelivery)
    for start, end in reversed(places(name, content, len(writing))):
        candidate = content[:start] + writing.encode() + content[end:]
        outcome = outcome_of(FORMATS[name], candidate, good.options)
        if isinstance(outcome, WholeDelivery) and figures(outcome) == figures(plain):
            content, count = candidate, count + 1
    return content, count


def figures(whole: WholeDelivery) -> list[Any]:
    columns = [
        "booking_date",
        "value_date",
        "amount_minor",
        "fee_minor",
        "fees",
        "original_amount_minor",
        "batch_minor",
    ]
    balances = [(told.asset, told.opening_minor, told.closing_minor) for told in whole.parsed.statements]
    return [whole.lines.select(columns).to_pylist(), balances]


def source_of(name: str, good: GoodFile) -> Source:
    outcome = outcome_of(FORMATS[name], good.content, good.options)
    assert isinstance(outcome, WholeDelivery)
    assets = sorted({statement.asset for statement in outcome.parsed.statements})
    accounts = tuple(
        STRIPE.accounts[0].model_copy(update={"asset": asset, "ledger": f"assets:test:{asset.lower()}"})
        for asset in assets
    )
    return BANK.model_copy(update={"format": name, "accounts": accounts})


def everything_stored(store: Connection) -> Iterator[str]:
    """Every row of every table of the schema, as text."""
    tables = store.execute(
        "SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'recon'::regnamespace AND c.relkind = 'r'"
    ).fetchall()
    for (table,) in tables:
        query = sql.SQL("SELECT to_jsonb(t)::text FROM {} AS t").format(sql.Identifier("recon", table))
        for (row,) in store.execute(query):
            yield f"{table}: {row}"


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_a_file_full_of_card_numbers_leaves_none_in_the_database_the_store_or_the_messages(
    store: Connection,
    name: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    good = GOOD_FILES[name]
    source = source_of(name, good)

    def received(content: bytes, source: Source) -> object:
        with store.transaction():
            store.execute("SET LOCAL ROLE tieout_intake")
            return take_in(
                store,
                source=source,
                file_name=f"card {MASTERCARD}.txt",
                stream=BytesIO(content),
                options=good.options,
                store=kept_bytes,
            )

    kept_bytes = DeliveryStore(filesystem=fsspec.filesystem("file"), folder=str(tmp_path))
    for writing in (VISA,) if name in FIXED_WIDTH else (VISA, WRITINGS[1]):
        content, count = all_fields_planted(name, good, writing)
        assert count >= 2, "a format with nothing to plant into proves nothing"
        outcome = received(content, source)
        assert not holds_card(outcome)
    received(content + b"\n", source.model_copy(update={"accounts": ()}))  # refused: nobody's account
    found = [row for row in everything_stored(store) if holds_card(row)]
    assert not found
    assert not holds_card(list_deliveries(store).to_pylist())
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert not holds_card(path.read_bytes().decode("latin-1"))
            assert not holds_card(path.read_bytes().decode("cp500"))
    assert not holds_card(caplog.text + "".join(capfd.readouterr()))
