"""What was written is what is read: count, amounts, balances and references of good files, whatever they are."""

import io
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_core.money import format_minor
from reconciliation.formats.canonical import WholeDelivery, read_whole
from reconciliation.formats.registry import FORMATS
from reconciliation.formats.values import reference
from tests.reconciliation.formats import (
    aeb43_builder,
    bai2_builder,
    camt_builder,
    cfonb120_builder,
    coda_builder,
    fixed_width_builder,
    mt_builder,
    nacha_builder,
    ofx_builder,
    paypal_builder,
)
from tests.reconciliation.formats.good_files import OPTIONS

Moves = list[tuple[int, str]]
"""Amount in minor units with its sign, and a reference."""

OPENING = 10_000

amounts = st.one_of(
    st.integers(1, 10**9), st.sampled_from((1, 99, 100, 101, 999_999_999)), st.integers(-(10**9), -1)
)


def references(alphabet: str, length: int) -> st.SearchStrategy[str]:
    """References as senders write them, none that says that there is none (zeros do, too) or reads as a card number."""
    return (
        st.text(alphabet=alphabet, min_size=1, max_size=length)
        .map(str.strip)
        .filter(
            lambda text: (
                reference(text) == text and text.strip("0 ") != "" and sum(map(str.isdigit, text)) < 12
            )
        )
    )


def moves(alphabet: str, length: int) -> st.SearchStrategy[Moves]:
    return st.lists(st.tuples(amounts, references(alphabet, length)), min_size=1, max_size=12)


PLAIN = "ABCXYZ0189 /-?:().,'+"
WIDE = PLAIN + 'abcxyz&<>"é€ß#_*'


def read(name: str, content: str | bytes) -> WholeDelivery:
    data = content.encode() if isinstance(content, str) else content
    return read_whole(FORMATS[name], io.BytesIO(data), OPTIONS)


def plain(minor: int) -> str:
    return format_minor(abs(minor), 2)


def comma(minor: int) -> str:
    return plain(minor).replace(".", ",")


def camt(told: Moves) -> str:
    entries = [
        camt_builder.entry(
            plain(minor),
            "CRDT" if minor > 0 else "DBIT",
            ref=f"B{number}",
            details="<NtryDtls>"
            + camt_builder.detail(refs=f"<EndToEndId>{escape(ref)}</EndToEndId>")
            + "</NtryDtls>",
        )
        for number, (minor, ref) in enumerate(told)
    ]
    closing = OPENING + sum(minor for minor, _ in told)
    balances = camt_builder.balance("OPBD", "100.00") + camt_builder.balance(
        "CLBD", plain(closing), side="CRDT" if closing >= 0 else "DBIT"
    )
    return camt_builder.document(camt_builder.statement(*entries, balances=balances))


def mt940(told: Moves) -> str:
    fields = [
        f":61:2611161116{'C' if minor > 0 else 'D'}{comma(minor)}NTRFNONREF//B{number}\n:86:{'/EREF/'}{ref}"
        for number, (minor, ref) in enumerate(told)
    ]
    closing = OPENING + sum(minor for minor, _ in told)
    return mt_builder.message(
        *fields, closing=f":62F:{'C' if closing >= 0 else 'D'}261116EUR{comma(closing)}"
    )


def bai2(told: Moves) -> str:
    lines = [
        bai2_builder.movement("165" if minor > 0 else "475", str(abs(minor)), bank=f"B{number}", customer=ref)
        for number, (minor, ref) in enumerate(told)
    ]
    closing = OPENING + sum(minor for minor, _ in told)
    return bai2_builder.of_lines(*lines, amounts=f"010,{OPENING},,,015,{closing},,")


def coda(told: Moves) -> bytes:
    items = [
        coda_builder.Item(amount=minor * 10, customer_ref=ref, bank_ref=f"B{number}")
        for number, (minor, ref) in enumerate(told)
    ]
    return fixed_width_builder.content_of(coda_builder.statement(items))


def cfonb120(told: Moves) -> bytes:
    items = [
        cfonb120_builder.Item(minor=minor, entry=f"{number:07d}", complements=[("RCN", ref)])
        for number, (minor, ref) in enumerate(told)
    ]
    return fixed_width_builder.content_of(cfonb120_builder.statement(items))


def aeb43(told: Moves) -> bytes:
    items = [aeb43_builder.Item(minor=minor, second_ref=ref) for minor, ref in told]
    return fixed_width_builder.content_of(aeb43_builder.aeb43_file(aeb43_builder.account(items)))


def nacha(told: Moves) -> str:
    entries = [
        nacha_builder.entry("27" if minor < 0 else "22", abs(minor), number=number, identification=ref)
        for number, (minor, ref) in enumerate(told, 1)
    ]
    return nacha_builder.delivery(nacha_builder.batch(*entries))


def ofx(told: Moves) -> str:
    moved = [
        ofx_builder.transaction(
            f"{'-' if minor < 0 else ''}{plain(minor)}", fitid=f"T{number}", NAME=escape(ref)
        )
        for number, (minor, ref) in enumerate(told)
    ]
    return ofx_builder.document(ofx_builder.bank(*moved), xml=True)


def paypal(told: Moves) -> bytes:
    rows = [
        paypal_builder.movement(
            str(abs(minor)), "CR" if minor > 0 else "DR", identification=f"P{number}", Invoice_ID=ref
        )
        for number, (minor, ref) in enumerate(told)
    ]
    return paypal_builder.text(paypal_builder.stl(rows))


BUILT: Mapping[str, tuple[Callable[[Moves], str | bytes], str, str, int]] = {
    "camt.053": (camt, "ref_end_to_end", WIDE, 35),
    "mt940": (mt940, "ref_end_to_end", "ABCXYZ0189-.", 16),
    "bai2": (bai2, "ref_end_to_end", "ABCXYZ0189-.()", 16),
    "coda": (coda, "ref_end_to_end", "ABCXYZ0189-.()+", 35),
    "cfonb120": (cfonb120, "ref_end_to_end", "ABCXYZ0189-.()+", 35),
    "aeb43": (aeb43, "ref_end_to_end", "ABCXYZ0189-.()", 16),
    "nacha": (nacha, "ref_end_to_end", "ABCXYZ0189-.()", 15),
    "ofx": (ofx, "counterparty", WIDE, 32),
    "paypal.stl": (paypal, "ref_merchant", WIDE, 35),
}


@pytest.mark.parametrize("name", BUILT)
@settings(max_examples=30)
@given(data=st.data())
def test_what_was_written_is_what_is_read(name: str, data: st.DataObject) -> None:
    build, column, alphabet, length = BUILT[name]
    told = data.draw(moves(alphabet, length))
    whole = read(name, build(told))
    lines: list[dict[str, Any]] = whole.lines.to_pylist()
    assert sorted((line["amount_minor"], line[column]) for line in lines) == sorted(told)
    total = sum(minor for minor, _ in told)
    (statement,) = whole.parsed.statements
    assert (statement.line_count, statement.movement_minor) == (len(told), total)
    if statement.opening_minor is not None:
        assert (statement.opening_minor, statement.closing_minor) == (OPENING, OPENING + total)
    assert {line["booking_date"].isoformat() for line in lines} <= {"2026-11-15", "2026-11-16", "2026-11-17"}
