"""The sources file: every key of the contract, every problem with its place, and no key that is silently ignored."""

import re
from datetime import time
from typing import get_args

import pytest
import yaml

from dagster_project.project import packaged_sources
from reconciliation.errors import SourcesError
from reconciliation.file_schedule import FileSchedule
from reconciliation.sources import (
    PRESET_PASSES,
    GroupRule,
    MatchLimits,
    MatchPass,
    MatchRules,
    Source,
    parse_sources,
)
from reconciliation.vocabulary import MATCH_PASSES

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


FILES = "      days: business_days"


@pytest.mark.parametrize(
    ("new", "sentence"),
    [
        (
            "      days: bussiness_days",
            "sources.bank.files.days: 'bussiness_days' is none of business_days, every_day",
        ),
        ("      days: bussiness_days", "did you mean business_days?"),
        ("      days: [mon, tues]", "did you mean tue?"),
        ("      days: [mon, mon]", "a weekday is named twice"),
        ("      days: [business_days, mon]", "'business_days' is none of"),
        ("      days: []", "expected business_days, every_day, none or a list of weekdays"),
        (f"{FILES}\n      plaice: /srv/outbox", "unknown key 'plaice'; the nearest known one is 'place'"),
        (
            f"{FILES}\n      dead_line: '09:00'",
            "unknown key 'dead_line'; the nearest known one is 'deadline'",
        ),
        (
            f"{FILES}\n      place: outbox",
            "whole path, such as /srv/outbox; else give a URL (not repeated here)",
        ),
        (f"{FILES}\n      place: 'simplecache::s3://bank'", "name one filesystem"),
        (f"{FILES}\n      place: 'simplecache://x::s3://bank'", "name one filesystem"),
        (f"{FILES}\n      ready_marker: done", "sources.bank.files.ready_marker"),
        (f"{FILES}\n      bytes_max: 0", "sources.bank.files.bytes_max"),
        (f"{FILES}\n      files_max: many", "sources.bank.files.files_max"),
    ],
)
def test_a_problem_of_the_expected_files_is_told_with_its_place(new: str, sentence: str) -> None:
    assert FILES in TEXT
    assert sentence in problems(TEXT.replace(FILES, new, 1))


@pytest.mark.parametrize(
    "place",
    [
        "sftp://acme:hunter2@bank.example/outbox",
        "sftp://acme:hunter2/1@bank.example/outbox",
        "https://store.example/outbox?sig=hunter2",
        "https://store.example/outbox#hunter2",
        "sftp://acme:@bank.example/outbox?hunter2",
        "sftp://bank.example:hunter2/outbox",
        "sftp://acme:1/hunter2@bank.example/outbox",
        "hunter2@bank.example:outbox",
        "sftp://bank.example/" + "hunter2" * 100,
    ],
)
def test_a_place_with_a_secret_in_it_is_refused_and_not_repeated(place: str) -> None:
    told = problems(TEXT.replace(FILES, f'{FILES}\n      place: "{place}"', 1))
    assert "sources.bank.files.place" in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    "place",
    [
        "/srv/outbox",
        "sftp://acme@bank.example:2222/outbox",
        "s3://inbox/bank",
        "sftp://[::1]:22/out",
        "memory://box",
    ],
)
def test_a_place_is_a_folder_or_a_url(place: str) -> None:
    sources = parse_sources(TEXT.replace(FILES, f'{FILES}\n      place: "{place}"', 1))
    assert sources["bank"].files.place == place


def test_the_pattern_of_a_place_names_no_folders() -> None:
    text = TEXT.replace(FILES, f"{FILES}\n      place: /srv/outbox", 1).replace(
        '"camt053_*.xml"', '"*/camt053_*.xml"'
    )
    assert "put the folder into the place" in problems(text)


def test_an_account_may_be_owed_other_files_where_each_has_its_own() -> None:
    own = 'ledger: "assets:bank:main-jpy", files: {days: [fri, mon], deadline: "11:00:00"}}'
    changed = TEXT.replace('ledger: "assets:bank:main-jpy"}', own, 1)
    files = parse_sources(changed)["bank"].accounts[1].files
    assert files is not None
    assert (files.days, files.deadline) == (("mon", "fri"), time(11))
    assert "files of an account go with files.per: account" in problems(
        changed.replace("per: account", "per: source")
    )
    assert "nearest known one is 'days'" in problems(changed.replace("{days: [fri", "{day: [fri"))


def test_the_commented_keys_of_the_files_are_keys() -> None:
    live = re.sub(
        r"^      # (place|ready_marker|bytes_max|files_max):", r"      \1:", TEXT, flags=re.MULTILINE
    )
    files = parse_sources(live)["bank"].files
    assert (files.place, files.ready_marker) == ("sftp://bank.example/outbox", ".done")
    fresh = FileSchedule()
    assert (files.bytes_max, files.files_max) == (fresh.bytes_max, fresh.files_max)
    assert all(f"{key}:" in TEXT for key in FileSchedule.model_fields)


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


def test_every_key_of_the_match_rules_is_explained_there_too() -> None:
    keys = {key for model in (MatchRules, GroupRule, MatchLimits) for key in model.model_fields}
    assert [key for key in sorted(keys) if f"{key}:" not in TEXT] == []


def test_the_passes_that_rules_may_name_are_all_but_the_decisions_of_people() -> None:
    assert (*get_args(MatchPass), "decision") == MATCH_PASSES


def test_a_source_that_names_no_passes_has_those_of_its_kind() -> None:
    found = {source.kind: source.match.passes for source in parse_sources(TEXT).sources}
    assert found == PRESET_PASSES
    assert "in_text" in found["bank"]
    assert "in_text" not in found["processor"]


def test_passes_that_a_source_names_are_its_own() -> None:
    text = TEXT.replace("      window_days: 10", "      passes: [exact]\n      window_days: 10", 1)
    assert parse_sources(text)["bank"].match.passes == ("exact",)


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


def test_a_key_that_stands_twice_is_refused_with_its_place() -> None:
    with pytest.raises(SourcesError, match=r"line 3, column 1: not YAML: the key 'version' appears twice"):
        parse_sources("version: 1\nsources: []\nversion: 1\n")
