"""The explanation stored with a group: canonical JSON that a person can read."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.reconciliation.matching.cases import external, ledger, matched, rules, schedule

TEXT = st.text(min_size=1, max_size=12).filter(lambda text: text not in {"NOTPROVIDED", "NONREF"})


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def test_evidence_says_what_agrees_and_how_far_apart_the_dates_are():
    theirs = [external("E1", 1250, ref_end_to_end="INV-1001", ref_uetr="u-0001", day=3)]
    ours = [ledger("L1", 1250, ref_end_to_end="inv 1001", ref_uetr="u-0001", day=1)]
    by = rules(("ref_uetr", "ref_uetr"), ("ref_end_to_end", "ref_end_to_end"))
    assert json.loads(matched(theirs, ours, by).groups["evidence"][0].as_py()) == {
        "amounts": {"difference_minor": 0, "external_minor": 1250, "ledger_minor": 1250},
        "asset": "EUR",
        "counts": {"external": 1, "ledger": 1},
        "dates": {"external": "2026-03-05", "lag_days": 2, "ledger": "2026-03-03"},
        "pass": "exact",
        "references": [
            {"agree": "raw", "external": "ref_uetr", "ledger": "ref_uetr", "value": "u-0001"},
            {
                "agree": "normalised",
                "external": "ref_end_to_end",
                "external_value": "INV-1001",
                "ledger": "ref_end_to_end",
                "ledger_value": "inv 1001",
            },
        ],
    }


def test_evidence_of_twins_says_how_many_there_were_to_choose_from():
    theirs = [external(key, 100, ref_end_to_end="RENT") for key in ("E1", "E2")]
    evidence = json.loads(
        matched(theirs, [ledger("L1", 100, ref_end_to_end="RENT")]).groups["evidence"][0].as_py()
    )
    assert evidence["interchangeable"] == {"external": 2, "ledger": 1}


def test_evidence_of_a_fee_shows_the_arithmetic():
    by = rules(("ref_psp", "ref_psp"), fees=(schedule(14_000, 20),))
    theirs = [external("E1", 9840, fee_minor=160, kind="charge", ref_psp="ch_1001")]
    booked = [
        ledger("L1", 10_000, ref_psp="ch_1001"),
        ledger("L1", -160, line_no=2, kind="fee", ref_psp="ch_1001"),
    ]
    apart = json.loads(matched(theirs, booked, by).groups["evidence"][0].as_py())
    scheduled = json.loads(matched(theirs, booked[:1], by).groups["evidence"][0].as_py())
    assert apart["fee"] == {
        "external_fee_minor": 160,
        "external_gross_minor": 10_000,
        "ledger_fee_minor": -160,
        "ledger_principal_minor": 10_000,
    }
    assert scheduled["fee"] == {
        "expected_minor": 160,
        "external_fee_minor": 160,
        "external_gross_minor": 10_000,
        "fixed_minor": 20,
        "rate_ppm": 14_000,
        "schedule_from": "2000-01-01",
        "tolerance_minor": 1,
    }


@given(st.lists(TEXT, min_size=1, max_size=6, unique=True))
def test_any_text_in_a_reference_gives_canonical_json(references):
    theirs = [external(f"E{n}", n, ref_end_to_end=text) for n, text in enumerate(references)]
    ours = [ledger(f"L{n}", n, ref_end_to_end=text) for n, text in enumerate(references)]
    evidence = matched(theirs, ours).groups["evidence"].to_pylist()
    values = {reference["value"] for text in evidence for reference in json.loads(text)["references"]}
    assert values == set(references)
    assert all(canonical(json.loads(text)) == text for text in evidence)


@given(st.lists(TEXT, min_size=2, max_size=4, unique=True))
def test_keys_of_any_text_name_different_groups(keys):
    theirs = [external("E", n, line_key=key, line_id=n, ref_end_to_end="RENT") for n, key in enumerate(keys)]
    ours = [ledger("L", n, entry_key=key, entry_id=n, ref_end_to_end="RENT") for n, key in enumerate(keys)]
    names = matched(theirs, ours).groups["group_key"].to_pylist()
    assert len(set(names)) == len(keys)
