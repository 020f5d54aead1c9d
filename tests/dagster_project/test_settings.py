"""The environment is read in one place, mistakes in it are named, and its secrets stay out of sight."""

import subprocess
import sys
from pathlib import Path

import pytest

from dagster_project.errors import SettingsError
from dagster_project.settings import read_settings

KEY = "a1" * 32


def test_without_any_setting_all_is_found_below_the_current_folder(tmp_path: Path) -> None:
    settings = read_settings({"HOME": "elsewhere"}, tmp_path)
    assert settings.home == tmp_path
    assert settings.sources == tmp_path / ".tieout" / "sources.yaml"
    assert settings.landing == tmp_path / ".tieout" / "landing"
    assert settings.database_url is None
    assert settings.alert_urls == ()
    assert list(tmp_path.iterdir()) == []


def test_a_sources_file_in_the_home_is_found_but_the_products_own_comes_first(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").touch()
    assert read_settings({}, tmp_path).sources == tmp_path / "sources.yaml"
    (tmp_path / ".tieout").mkdir()
    (tmp_path / ".tieout" / "sources.yaml").touch()
    assert read_settings({}, tmp_path).sources == tmp_path / ".tieout" / "sources.yaml"


def test_paths_may_be_relative_and_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    settings = read_settings(
        {"TIEOUT_HOME": "books", "TIEOUT_LANDING": "in", "TIEOUT_DATABASE_URL": " "}, tmp_path
    )
    assert settings.home == tmp_path / "books"
    assert settings.landing == tmp_path / "in"
    assert settings.database_url is None


def test_where_the_feed_goes_is_said_by_settings_and_the_topic_has_a_name_of_its_own(tmp_path: Path) -> None:
    nowhere = read_settings({}, tmp_path)
    assert (nowhere.kafka_servers, nowhere.kafka_topic, nowhere.kafka_file) == (None, "tieout.journal", None)
    given = {"TIEOUT_KAFKA_SERVERS": "one:9092", "TIEOUT_KAFKA_TOPIC": "books", "TIEOUT_KAFKA_FILE": "client"}
    somewhere = read_settings(given, tmp_path)
    assert (somewhere.kafka_servers, somewhere.kafka_topic) == ("one:9092", "books")
    assert somewhere.kafka_file == tmp_path / "client"


def test_a_mistyped_setting_is_refused_with_the_name_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="found TIEOUT_DATABSE_URL; did you mean TIEOUT_DATABASE_URL"):
        read_settings({"TIEOUT_DATABSE_URL": "postgresql://"}, tmp_path)


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    settings = read_settings(
        {
            "TIEOUT_DATABASE_URL": "postgresql://user:hunter2@server/books",
            "TIEOUT_DAGSTER_DATABASE_URL": "postgresql://user:hunter3@server/dagster",
            "TIEOUT_CARD_KEY": KEY,
            "TIEOUT_ALERT_URLS": "slack://hunter4 mailto://hunter5@server",
        },
        tmp_path,
    )
    assert settings.alert_urls == ("slack://hunter4", "mailto://hunter5@server")
    for shown in (repr(settings), str(settings), f"{settings}"):
        assert "hunter" not in shown
        assert KEY not in shown
        assert repr(settings.card_keys()[0]) not in shown


@pytest.mark.parametrize("key", ["a1" * 31, "not hex " * 16, "a1" * 31 + "a"])
def test_a_weak_or_broken_card_key_is_refused_and_not_repeated(key: str, tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match="TIEOUT_CARD_KEY: expected a key of at least 64 hex digits"
    ) as refusal:
        read_settings({"TIEOUT_CARD_KEY": key}, tmp_path)
    assert key not in str(refusal.value)


def test_a_card_key_is_made_once_for_all_processes_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from dagster_project.settings import read_settings; import sys; "
        "print(read_settings({}, Path(sys.argv[1])).card_keys()[0].hex())"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    runs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        for _ in range(4)
    ]
    keys = {run.communicate(timeout=60)[0].strip() for run in runs}
    assert len(keys) == 1
    assert len(keys.pop()) == 64
    (file,) = (tmp_path / ".tieout").iterdir()
    assert file.name == "card.key"
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_card_key_may_come_from_a_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    settings = read_settings({"TIEOUT_CARD_KEY_FILE": "key"}, tmp_path)
    assert settings.card_keys() == (bytes.fromhex(KEY),)
    with pytest.raises(SettingsError, match="found both"):
        read_settings({"TIEOUT_CARD_KEY_FILE": "key", "TIEOUT_CARD_KEY": KEY}, tmp_path)
