"""The sources file: every key of the contract, every problem with its place, and no key that is silently ignored."""

import pytest
import yaml

from dagster_project.project import packaged_sources
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


MAPPED = """
version: 1
sources:
  - id: house_bank
    kind: bank
    format: mapped.csv
    start_date: 2026-11-16
    accounts: [{asset: EUR, ledger: "assets:bank:house"}]
    match: {references: [{external: ref_end_to_end, ledger: ref_end_to_end}]}
    mapping:
      proof: running_balance
      table: {encoding: cp1252, delimiter: ";", header_row: 5}
      columns:
        booking_date: Buchungstag
        text: [Zweck 1, Zweck 2]
        ref_end_to_end: Referenz
      amount: {credit: Haben, debit: Soll}
      numbers: {decimal_mark: ",", grouping_mark: "."}
      dates: {patterns: "%d.%m.%Y"}
      asset: {fixed: EUR}
      running_balance: {column: Saldo, order: descending}
"""


def test_a_mapped_source_says_how_its_files_are_read() -> None:
    mapping = parse_sources(MAPPED)["house_bank"].mapping
    assert mapping is not None
    assert mapping.proof == ("running_balance",)
    assert mapping.columns["text"] == ("Zweck 1", "Zweck 2")


def test_the_digest_of_the_rules_covers_the_mapping() -> None:
    other = MAPPED.replace('decimal_mark: ","', 'decimal_mark: "."').replace(', grouping_mark: "."', "")
    assert parse_sources(other)["house_bank"].rules_digest != parse_sources(MAPPED)["house_bank"].rules_digest


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "encoding: cp1252",
            "encodng: cp1252",
            "sources.house_bank.mapping.table.encodng: unknown key 'encodng'; the nearest known one is 'encoding'",
        ),
        ("      numbers:", "      nubmers:", "the nearest known one is 'numbers'"),
        ("encoding: cp1252", "encoding: rot13", "mapping.table.encoding: not an encoding of text"),
        ("format: mapped.csv", "format: camt.053", "a mapping goes with the formats mapped.*"),
        ("ref_end_to_end: Referenz", "ref_endtoend: Referenz", "did you mean ref_end_to_end?"),
        ("booking_date: Buchungstag", "value_date: Buchungstag", "booking_date is required and missing"),
        ("proof: running_balance", "proof: []", "mapping.proof"),
        ("      proof: running_balance\n", "", "sources.house_bank.mapping.proof: is required and missing"),
        ("proof: running_balance", "proof: none", "running_balance is described, and not demanded"),
        ("proof: running_balance", "proof: [none, running_balance]", "none stands alone"),
        ("proof: running_balance", "proof: control_total", "control_total needs totals"),
        ('"%d.%m.%Y"', '"%d.%Y"', "mapping.dates.patterns.0: names no month"),
        ('"%d.%m.%Y"', '"%d.%m.%Q"', "%Q is not known"),
        ('"%d.%m.%Y"', '"%d.%m.%d.%Y"', "the day is named twice"),
        ('grouping_mark: "."', 'grouping_mark: ","', "decimal mark and grouping mark are the same"),
        ("{credit: Haben, debit: Soll}", "{credit: Haben}", "needs column, or both credit and debit"),
        ("{fixed: EUR}", "{fixed: Euro}", "a fixed currency is an ISO 4217 code"),
        ("{fixed: EUR}", "{fixed: EUR, column: Ccy}", "exactly one of column, cell and fixed"),
        ("order: descending", "order: down", "mapping.running_balance.order"),
    ],
)
def test_a_problem_of_a_mapping_is_told_with_its_place(old: str, new: str, sentence: str) -> None:
    assert old in MAPPED
    assert sentence in problems(MAPPED.replace(old, new, 1))


def test_a_mapped_format_without_a_mapping_is_a_sentence() -> None:
    text = MAPPED[: MAPPED.index("    mapping:")]
    assert "format mapped.csv needs a mapping, which says what the columns mean" in problems(text)
