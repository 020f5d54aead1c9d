"""The card keys are rotated without losing one, whatever happens at the same time, and none is ever shown."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dagster_project.cli.main import root
from dagster_project.errors import SettingsError
from dagster_project.settings import read_settings
from reconciliation.formats.card_numbers import KeyedCardTokens, key_id_of

CARD = "4111111111111111"
OLD = "a1" * 32


def run(home: Path, *words: str, **variables: str) -> Result:
    environment = {"TIEOUT_HOME": str(home), **variables}
    return CliRunner().invoke(root, ["card-key", *words], prog_name="tieout", env=environment)


def test_a_rotation_adds_a_key_and_keeps_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "card.key"
    file.write_text(OLD)  # not even ended
    before = read_settings({"TIEOUT_CARD_KEY_FILE": "card.key"}, tmp_path).card_keys()
    token = KeyedCardTokens(*before).token(CARD)

    result = run(tmp_path, "rotate", "--json", TIEOUT_CARD_KEY_FILE=str(file))

    assert result.exit_code == 0, result.output
    after = read_settings({"TIEOUT_CARD_KEY_FILE": "card.key"}, tmp_path).card_keys()
    assert after[1:] == before == (bytes.fromhex(OLD),)
    told = json.loads(result.output)
    assert told == {"key_id": key_id_of(after[0]), "older": [key_id_of(before[0])]}
    assert not any(key.hex() in result.output for key in after), "a key is printed"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().splitlines() == [OLD, after[0].hex()]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.key"], "a draft with keys was left"

    tokens = KeyedCardTokens(*after)
    assert tokens.token(CARD) != token
    assert tokens.recognises(token)
    assert token in tokens.tokens(CARD)


def test_the_first_rotation_makes_the_first_key_too(tmp_path: Path) -> None:
    result = run(tmp_path, "rotate")
    assert result.exit_code == 0, result.output
    keys = read_settings({}, tmp_path).card_keys()
    assert len(keys) == 2
    assert result.output == (
        f"Tokens are made under card key {key_id_of(keys[0])} from now on; 1 older key stays.\n"
    )
    listed = json.loads(run(tmp_path, "list", "--json").output)
    assert listed == [
        {"key_id": key_id_of(keys[0]), "makes_tokens": True},
        {"key_id": key_id_of(keys[1]), "makes_tokens": False},
    ]


def test_of_rotations_at_the_same_time_every_key_stays(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from dagster_project.settings import read_settings; import sys; "
        "print(read_settings({}, Path(sys.argv[1])).rotated_card_keys()[0].hex())"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    runs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        for _ in range(4)
    ]
    for one in runs:
        one.communicate(timeout=60)
        assert one.returncode == 0
    assert len(read_settings({}, tmp_path).card_keys()) == 5


def test_a_linked_key_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "key").write_text(OLD + "\n")
    (tmp_path / "key").symlink_to(tmp_path / "kept" / "key")
    settings = read_settings({"TIEOUT_CARD_KEY_FILE": "key"}, tmp_path)
    assert len(settings.rotated_card_keys()) == 2
    assert (tmp_path / "key").is_symlink()
    assert len(settings.card_keys()) == 2


def test_when_the_disk_fails_the_old_keys_are_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(OLD + "\n")
    settings = read_settings({"TIEOUT_CARD_KEY_FILE": "key"}, tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match=r"found No space left on device; the old keys are as they were"):
        settings.rotated_card_keys()
    assert settings.card_keys() == (bytes.fromhex(OLD),)
    assert [path.name for path in tmp_path.iterdir()] == ["key"], "a draft with keys was left"


def test_keys_of_the_environment_are_rotated_there(tmp_path: Path) -> None:
    result = run(tmp_path, "rotate", TIEOUT_CARD_KEY=OLD)
    assert result.exit_code == 2
    assert "expected the card keys in a file, found them in the environment" in result.output
    assert OLD not in result.output
    several = read_settings({"TIEOUT_CARD_KEY": f"{OLD} {'b2' * 32}"}, tmp_path).card_keys()
    assert several == (bytes.fromhex("b2" * 32), bytes.fromhex(OLD)), "the newest stands last"


@pytest.mark.parametrize("text", ["", "\n", OLD + "\nshort\n", "not hex\n" + OLD])
def test_a_file_with_anything_else_is_refused_and_not_repeated(text: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(text)
    settings = read_settings({"TIEOUT_CARD_KEY_FILE": "key"}, tmp_path)
    for take in (settings.card_keys, settings.rotated_card_keys):
        with pytest.raises(SettingsError, match="expected a key of at least 64 hex digits") as refusal:
            take()
        assert OLD not in str(refusal.value)
    assert (tmp_path / "key").read_text() == text
