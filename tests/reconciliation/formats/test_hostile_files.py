"""Whatever is delivered as whatever format: a delivery or a refusal that people can act on, soon, within its memory.

A format joins by being registered; it needs a good file in ``good_files`` to be damaged from.
"""

import io
import subprocess
import sys
from collections.abc import Mapping

import pytest

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import read_whole
from reconciliation.formats.registry import FORMATS
from tests.reconciliation.formats.good_files import GOOD_FILES
from tests.reconciliation.formats.hostile import (
    AMOUNTS,
    CPU_SECONDS_MAX,
    HARMLESS_TEXTS,
    PATTERNS,
    Figures,
    cut,
    documents,
    line_mutations,
    noise,
    outcome,
    texts,
    with_amounts,
)

every_format = pytest.mark.parametrize("name", FORMATS)
XML = frozenset({"camt.052", "camt.053", "camt.054"})
BINARY = frozenset({"mastercard.ipm", "mapped.parquet", "mapped.xlsx"})

# Where a file does not tell of a line more or less: what its reader says of it, so that nobody takes it for proved.
UNPROVED: Mapping[str, str] = {
    "stripe.balance_activity": "a row at its end may be missing",
    "checkoutcom.settlement_breakdown": "a row at its end may be missing",
    "braintree.settlement": "states neither a payout nor totals",
    "mapped.json": "nothing proves this file",
    "stripe.payout_reconciliation": "prove nothing",  # of the payout whose own row was removed
}


def told(name: str, content: bytes) -> Figures | RefusedFile:
    return outcome(FORMATS[name], content, GOOD_FILES[name].options)


def notes(name: str, content: bytes) -> str:
    whole = read_whole(FORMATS[name], io.BytesIO(content), GOOD_FILES[name].options)
    return " ".join(whole.parsed.notes)


def test_every_format_has_a_good_file_to_be_damaged() -> None:
    assert GOOD_FILES.keys() == FORMATS.keys()
    for name in FORMATS:
        assert not isinstance(told(name, GOOD_FILES[name].content), RefusedFile), name


@every_format
def test_what_is_no_such_file_is_refused_or_holds_nothing(name: str) -> None:
    for content in (b"", b"x", b"<", b"\0", b"\r", b"\xef\xbb\xbf", b"PK\x03\x04", b"PAR1PAR1"):
        assert holds_nothing(told(name, content)), content
    for pattern in PATTERNS:
        assert holds_nothing(told(name, (pattern * (1 << 16))[: 1 << 16])), pattern
    for seed, kept in enumerate((0, 4, 16, 64, 200)):
        assert holds_nothing(told(name, noise(GOOD_FILES[name].content[:kept], seed))), kept


def holds_nothing(result: Figures | RefusedFile) -> bool:
    """Intake refuses a delivery without a statement; a statement without lines proves its own zero."""
    return isinstance(result, RefusedFile) or not any(count for _, count, _ in result)


@every_format
def test_a_file_cut_anywhere_is_refused_or_had_lost_nothing_that_counts(name: str) -> None:
    content = GOOD_FILES[name].content
    whole = told(name, content)
    for part in cut(content):
        result = told(name, part)
        if not isinstance(result, RefusedFile) and result != whole and result:
            assert UNPROVED[name] in notes(name, part), f"{len(part)} of {len(content)} bytes"


@every_format
def test_a_line_lost_doubled_or_out_of_place_is_noticed_or_changes_no_money(name: str) -> None:
    content = GOOD_FILES[name].content
    whole = told(name, content)
    for kind, at, damaged in line_mutations(content):
        result = told(name, damaged)
        if not isinstance(result, RefusedFile) and result != whole:
            assert UNPROVED[name] in notes(name, damaged), f"line {at + 1} {kind}"


@every_format
def test_amounts_that_are_none_never_become_others(name: str) -> None:
    """Where the damaged text was no amount (a reference, a description), the figures are those of the good file."""
    content = GOOD_FILES[name].content
    whole = told(name, content)
    for amount in AMOUNTS:
        for damaged in with_amounts(content, amount):
            result = told(name, damaged)
            assert isinstance(result, RefusedFile) or result == whole, amount[:40]


@every_format
def test_other_encodings_ends_and_strange_characters_change_no_figure(name: str) -> None:
    content = GOOD_FILES[name].content
    whole = told(name, content)
    for kind, changed in texts(content):
        result = told(name, changed)
        if kind == "itself once more" and isinstance(result, list) and isinstance(whole, list):
            assert result in (whole, whole + whole), "intake refuses a statement that is told twice"
            continue
        assert isinstance(result, RefusedFile) or result == whole, kind
        if kind in HARMLESS_TEXTS and name not in BINARY | {"visa.base2"}:
            assert result == whole, f"{kind}: {result}"


@every_format
def test_declarations_entities_and_nesting_without_end_are_refused(name: str) -> None:
    content = GOOD_FILES[name].content
    whole = told(name, content)
    for number, hostile in enumerate(documents(content)):
        result = told(name, hostile)
        assert isinstance(result, RefusedFile) or result == whole or holds_nothing(result), number
        if name in XML and b"<!DOCTYPE" in hostile:
            assert isinstance(result, RefusedFile)


IN_BOUNDS = """
import sys
from pathlib import Path
from tests.reconciliation.formats.good_files import GOOD_FILES
from tests.reconciliation.formats.hostile import PATTERNS, outcome
from reconciliation.formats.registry import FORMATS
pieces = (*PATTERNS, b"<a>", b'{"a":[', b"\\r\\n", b"@")
for name in sys.argv[1:]:
    good = GOOD_FILES[name]
    for piece in pieces:
        head = good.content[: good.content.find(b"\\n") + 1]
        outcome(FORMATS[name], head + piece * (200_000 // len(piece)), good.options)
    outcome(FORMATS[name], good.content + b"A" * 10_000_000, good.options)
    # Not the usual call, which counts the parent's memory too.
    used = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    assert used < 400_000, f"{name}: {used} KiB"
"""


def test_no_pattern_makes_a_reader_take_much_memory_or_time() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_BOUNDS, *FORMATS],
        capture_output=True,
        text=True,
        check=False,
        timeout=100 * CPU_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
