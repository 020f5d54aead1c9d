"""The same statement as MT and as camt gives the same lines: amounts, days, status, and references where both have any.

The pairs are the corpora's (`PAIRS.csv`): translations in both directions, made by other programs. A :61: has room for
one reference of the owner, of 16 characters: the translators put the end-to-end id there or the instruction id, and a
plus where they cut it.
"""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from reconciliation.formats.canonical import WholeDelivery
from reconciliation.formats.registry import FORMATS, HEAD_BYTES, recognise
from tests.reconciliation.formats.mt_builder import ALL_WAIVED, read

ALIKE = ("amount_minor", "asset", "status", "value_date")


@pytest.fixture(scope="module")
def pairs(corpora: Path) -> list[tuple[dict[str, str], WholeDelivery, WholeDelivery]]:
    with (corpora / "PAIRS.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [(row, read_one(corpora / row["mt"]), read_one(corpora / row["camt"])) for row in rows]


def read_one(path: Path) -> WholeDelivery:
    content = path.read_bytes()
    name = recognise(content[:HEAD_BYTES])
    assert name is not None, path
    return read(content, FORMATS[name], ALL_WAIVED)


def entries(delivery: WholeDelivery) -> list[dict[str, Any]]:
    return sorted(delivery.lines.to_pylist(), key=lambda row: [str(row[name]) for name in ALIKE])


def in_file_order(delivery: WholeDelivery) -> list[dict[str, Any]]:
    return list(delivery.lines.to_pylist())


def test_both_forms_are_recognised_for_what_they_are(
    pairs: list[tuple[dict[str, str], WholeDelivery, WholeDelivery]],
) -> None:
    assert len(pairs) >= 10
    for row, mt, camt in pairs:
        assert mt.parsed.format_name == row["mt_type"].lower(), row["mt"]
        assert camt.parsed.format_name == f"camt.{row['camt_version'][4:7]}", row["camt"]
        assert mt.parsed.statements[0].interim == camt.parsed.statements[0].interim, row["mt"]


def test_both_forms_have_the_same_lines(
    pairs: list[tuple[dict[str, str], WholeDelivery, WholeDelivery]],
) -> None:
    for row, mt, camt in pairs:
        told = [
            [tuple(line[name] for name in ALIKE) for line in entries(delivery)] for delivery in (mt, camt)
        ]
        assert told[0] == told[1], row["mt"]
        assert (len(told[0]), sum(line[0] for line in told[0])) == (
            int(row["mt_lines"]),
            int(row["mt_minor"]),
        )


def test_both_forms_have_the_same_booking_days_where_both_state_them(
    pairs: list[tuple[dict[str, str], WholeDelivery, WholeDelivery]],
) -> None:
    for row, mt, camt in pairs:
        days = [[line["booking_date"] for line in entries(delivery)] for delivery in (mt, camt)]
        assert days[0] == days[1], row["mt"]


def test_the_owners_reference_of_the_mt_is_one_of_the_camts(
    pairs: list[tuple[dict[str, str], WholeDelivery, WholeDelivery]],
) -> None:
    compared = 0
    for row, mt, camt in pairs:
        for one, other in zip(in_file_order(mt), in_file_order(camt), strict=True):
            own = one["ref_end_to_end"] or json.loads(one["other_refs"] or "{}").get("customer")
            others = json.loads(other["other_refs"] or "{}")
            known = {other["ref_end_to_end"], others.get("instruction")} - {None}
            if own is not None and known:
                assert own in known or (own[-1] == "+" and any(ref.startswith(own[:-1]) for ref in known)), (
                    row["mt"]
                )
                compared += 1
    assert compared >= 15


def test_the_servicers_reference_is_the_same_where_both_have_one(
    pairs: list[tuple[dict[str, str], WholeDelivery, WholeDelivery]],
) -> None:
    compared = 0
    for row, mt, camt in pairs:
        for one, other in zip(in_file_order(mt), in_file_order(camt), strict=True):
            if one["ref_servicer"] and other["ref_servicer"]:
                # one translator left a name behind the reference
                assert other["ref_servicer"].partition(" ")[0] == one["ref_servicer"], row["mt"]
                compared += 1
    assert compared == 9


def test_both_forms_prove_the_same_balances(
    pairs: list[tuple[dict[str, str], WholeDelivery, WholeDelivery]],
) -> None:
    compared = 0
    for row, mt, camt in pairs:
        for one, other in zip(mt.parsed.statements, camt.parsed.statements, strict=True):
            if one.closing_minor is not None and other.closing_minor is not None:
                assert (one.opening_minor, one.closing_minor, one.asset) == (
                    other.opening_minor,
                    other.closing_minor,
                    other.asset,
                ), row["mt"]
                compared += 1
    assert compared >= 8
