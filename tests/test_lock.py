"""What is installed is what was looked at: every package of the lock has its hashes, and no file names a registry."""

import re
import subprocess
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parents[1]
LOCK = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")


def locked() -> dict[str, Version]:
    return {name: Version(number) for name, number in re.findall(r"(?m)^([a-z0-9.-]+)==(\S+)", LOCK)}


def test_every_locked_package_has_a_hash_and_none_an_address() -> None:
    for entry in re.split(r"(?m)^(?=\S)", LOCK)[1:]:
        assert re.match(r"[a-z0-9.-]+==\S+( ; [^\n]+)? \\\n +--hash=sha256:[0-9a-f]{64}", entry), entry[:80]
    assert "://" not in LOCK


def test_the_lock_holds_all_that_the_project_asks_for() -> None:
    with open(REPOSITORY / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)
    versions = locked()
    for text in project["project"]["dependencies"] + project["dependency-groups"]["dev"]:
        wanted = Requirement(text)
        assert versions[canonicalize_name(wanted.name)] in wanted.specifier, text


def test_no_set_up_file_names_a_registry() -> None:
    files = [REPOSITORY / "Makefile", REPOSITORY / "pyproject.toml", *sorted((REPOSITORY / ".ci").iterdir())]
    for file in files:
        assert not re.search(r"(https?|file)://", file.read_text()), file


def test_the_scripts_are_sound_shell() -> None:
    for name, shell in (("setup", "sh"), ("lock", "sh"), ("run", "bash")):
        script = REPOSITORY / ".ci" / name
        assert subprocess.run([shell, "-n", script], check=False).returncode == 0
        assert script.stat().st_mode & 0o111
