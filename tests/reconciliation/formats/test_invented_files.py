"""The invented world's files come from writers that share nothing with the readers; every one of them must be read."""

from datetime import date
from pathlib import Path

import pytest

from fixtures import world
from reconciliation.formats import registry
from reconciliation.formats.canonical import read_whole
from tests.reconciliation.formats.camt_builder import OPTIONS


@pytest.mark.parametrize("camt_version", ["001.02", "001.04", "001.08", "001.13"])
def test_every_file_of_an_invented_world_is_recognised_read_and_proved(
    tmp_path: Path, camt_version: str
) -> None:
    world.simulate(7, date(2026, 11, 16), days=2, lines=40, faults="none", camt_version=camt_version).write(
        tmp_path
    )
    outside = [
        path for path in tmp_path.rglob("*") if path.suffix in {".xml", ".ipm"} or "payout" in path.name
    ]
    names = set()
    for path in outside:
        name = registry.recognise(path.read_bytes()[: registry.HEAD_BYTES])
        assert name is not None, path
        with path.open("rb") as stream:
            delivery = read_whole(registry.FORMATS[name], stream, OPTIONS)
        statements = delivery.parsed.statements
        assert sum(statement.line_count for statement in statements) == delivery.lines.num_rows
        assert all(statement.proofs for statement in statements), path
        assert delivery.parsed.notes == (), path
        names.add(name)
    assert names == {"camt.053", "stripe.payout_reconciliation", "mastercard.ipm"}
