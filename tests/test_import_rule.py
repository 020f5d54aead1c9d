"""The import rule of the house is executable, holds, and has teeth: each contract notices when it is broken."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("dagster_project", "fixtures", "ledger_core", "reconciliation")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command(sys.argv[1:])"
    command = [sys.executable, "-P", "-c", code, "--no-cache"]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(folder)}, stdout=subprocess.PIPE, text=True, check=False
    )


def test_imports_run_one_way() -> None:
    done = lint(REPOSITORY)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("ledger_core/errors.py", "reconciliation.errors"),
        ("ledger_core/errors.py", "dagster_project.errors"),
        ("reconciliation/errors.py", "dagster_project.errors"),
        ("reconciliation/errors.py", "ledger_core.migrate"),
        ("reconciliation/formats/canonical.py", "psycopg"),
        ("reconciliation/formats/canonical.py", "reconciliation.matching"),
        ("reconciliation/matching/__init__.py", "sqlalchemy"),
        ("reconciliation/matching/__init__.py", "reconciliation.formats"),
        ("reconciliation/matching/__init__.py", "reconciliation.intake"),
        ("fixtures/__init__.py", "ledger_core.money"),
        ("fixtures/__init__.py", "reconciliation.errors"),
    ],
)
def test_a_forbidden_import_is_noticed(module: str, forbidden: str, tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(
            REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    with open(tmp_path / module, "a") as file:
        file.write(f"\nimport {forbidden}\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert "BROKEN" in done.stdout
    assert forbidden in done.stdout


def test_every_room_with_a_store_is_closed_to_formats_and_matching() -> None:
    with open(REPOSITORY / "pyproject.toml", "rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    (pure,) = (contract for contract in contracts if contract["name"] == "Formats and matching are pure")
    rooms = {path.parent.name for path in (REPOSITORY / "reconciliation").glob("*/__init__.py")} - {
        "migrations"
    }
    closed = {name.removeprefix("reconciliation.") for name in pure["forbidden_modules"]}
    assert rooms - closed == {"classification", "formats", "matching"}
