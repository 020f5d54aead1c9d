"""The sources file: every key of the contract, every problem with its place, and no key that is silently ignored."""

import pytest
import yaml

from dagster_project.pipeline import packaged_sources
from reconciliation.errors import SourcesError
from reconciliation.sources import Source, parse_sources

TEXT = packaged_sources()


def problems(text: str) -> str:
    with pytest.raises(SourcesError) as caught:
        parse_sources(text)
    return str(caught.value)


def test_the_file_that_init_writes_is_good_and_names_three_sources() -> None:
    sources = parse_sources(TEXT)
    assert [source.id for source in sources.sources] == ["bank", "stripe", "mastercard"]
    assert sources["bank"].ledger_account("DE08999900010000101978", "EUR") == "assets:bank:main-eur"
    assert sources["bank"].ledger_account("DE08999900010000101978", "JPY") is None
    assert sources["mastercard"].ledger_account(None, "KWD") == "assets:scheme:mastercard-kwd"


def test_the_digest_of_the_rules_changes_with_any_rule_and_with_nothing_else() -> None:
    same = yaml.safe_dump(yaml.safe_load(TEXT), sort_keys=True)
    assert parse_sources(same)["bank"].rules_digest == parse_sources(TEXT)["bank"].rules_digest
    other = TEXT.replace("window_days: 10", "window_days: 11")
    assert parse_sources(other)["bank"].rules_digest != parse_sources(TEXT)["bank"].rules_digest
    assert parse_sources(other)["stripe"].rules_digest == parse_sources(TEXT)["stripe"].rules_digest


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "    cut_off:",
            "    cutoff:",
            "sources.bank.cutoff: unknown key 'cutoff'; the nearest known one is 'cut_off'",
        ),
        ("time_zone: Europe/Berlin", "time_zone: Europe/Berln", "did you mean Europe/Berlin?"),
        (
            "{external: ref_uetr, ledger: ref_uetr}",
            "{external: ref_utr, ledger: ref_uetr}",
            "did you mean ref_uetr?",
        ),
        ("never_in_ledger: [fee, interest]", "never_in_ledger: [fees]", "did you mean fee?"),
        (
            "lag: {earliest: 0, expected: 1, latest: 2}   ",
            "lag: {earliest: 3, expected: 1, latest: 2}",
            "earliest <= expected",
        ),
        ("with_source: bank", "with_source: bnk", "leg with unknown source bnk"),
        ('ledger: "assets:bank:main-jpy"', 'ledger: "assets:bank:main-eur"', "appears twice"),
        ("  - id: stripe", "  - id: ledger", "a name of the product's own"),
        ("  - id: stripe", "  - id: bank", "appears twice"),
        ("version: 1", "version: 2", "version"),
        ("    kind: processor", "    kind: procesor", "sources.stripe.kind"),
    ],
)
def test_a_problem_is_told_with_its_place_and_its_remedy(old: str, new: str, sentence: str) -> None:
    assert old in TEXT
    assert sentence in problems(TEXT.replace(old, new, 1))


def test_every_problem_is_told_at_once() -> None:
    text = TEXT.replace("time_zone: Europe/Berlin", "time_zone: Nowhere").replace(
        "    kind: processor", "    knd: processor"
    )
    told = problems(text).split("\n")
    assert len(told) == 3  # the zone, the unknown key, and the kind that is missing for it


@pytest.mark.parametrize("text", ["", "- a list", "version: [1", "version: 1\nsources: []"])
def test_what_is_no_sources_file_is_a_sentence(text: str) -> None:
    assert "sources.yaml" in problems(text)


def test_every_key_of_a_source_is_explained_in_the_file_that_init_writes() -> None:
    explained = set(yaml.safe_load(TEXT)["sources"][0]) | set(yaml.safe_load(TEXT)["sources"][1])
    assert set(Source.model_fields) == explained
