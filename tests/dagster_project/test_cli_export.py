"""`tieout export` as scripts and auditors meet it: what each file is proved by, and packs that are made and checked."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from dagster_project.cli.main import root
from dagster_project.exports import EXPORTS, KINDS, WORK_COLUMNS
from dagster_project.pipeline import code_version
from dagster_project.project import Project
from reconciliation.evidence import independent

Tieout = Callable[..., Result]


@pytest.fixture
def tieout(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tieout:
    """Run a command on a project in which one person, with a name that a sheet might run, is known."""
    with project.database.session("tieout_doorkeeper") as connection:
        connection.execute("SELECT recon.enrol('ada', '=1+1 Ada', ARRAY['analyst'], 'users')")
    monkeypatch.setenv("TIEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIEOUT_DATABASE_URL", project.database.url)
    monkeypatch.setenv("TIEOUT_DAGSTER_DATABASE_URL", project.database.dagster_libpq_url)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, expect: int = 0) -> Result:
        result = CliRunner().invoke(root, words, prog_name="tieout")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == expect, result.output
        return result

    return run


def test_every_kind_is_proved_by_its_footer_in_every_form(tieout: Tieout, tmp_path: Path) -> None:
    for kind, schema in EXPORTS.items():
        for ending in ("csv", "parquet", "xlsx"):
            out = tmp_path / f"{kind}.{ending}"
            told = json.loads(tieout("export", kind, "--out", str(out), "--by", "ada", "--json").output)
            assert told["rows"] == (1 if kind == "people" else 0)
            if ending == "parquet":
                table = pyarrow.parquet.read_table(out)
                kept = json.loads(table.schema.metadata[b"tieout.footer"])
                beside = json.loads((tmp_path / f"{out.name}.footer.json").read_text())
                assert kept == beside
                assert table.column_names == schema.names
            else:
                assert independent.check_file(out) == []
    people = (tmp_path / "people.csv").read_text()
    assert people.startswith('"login","name","roles",')
    assert '"ada","\'=1+1 Ada","analyst"' in people
    assert "#" not in people, "what scripts read holds rows alone"
    footer = json.loads((tmp_path / "people.csv.footer.json").read_text())
    assert (footer["rows"], footer["query"], footer["produced_by"]) == (1, "people", "ada")
    assert footer["system"] == f"tieout {code_version()}"
    assert footer["sha256"] == json.loads((tmp_path / "people.parquet.footer.json").read_text())["sha256"]

    (tmp_path / "people.csv").write_text(people.replace("analyst", "admin"))
    assert independent.check_file(tmp_path / "people.csv") != []

    work = tmp_path / "work.csv"
    tieout(
        "export", "exceptions", "--out", str(work), "--with-work", "--source", "bank", "--to", "2026-11-10"
    )
    names = [name.strip('"') for name in work.read_text().strip().split(",")]
    assert names == [*KINDS["exceptions"].names, *WORK_COLUMNS]
    asked = json.loads((tmp_path / "work.csv.footer.json").read_text())
    assert (asked["query"], asked["source"], asked["to"]) == (
        "exceptions of source bank to 2026-11-10",
        "bank",
        "2026-11-10",
    )


def test_a_pack_is_made_checked_and_made_again(tieout: Tieout, tmp_path: Path) -> None:
    days = ("--from", "2026-11-09", "--to", "2026-11-13")
    told = json.loads(tieout("export", "pack", *days, "--out", "first.zip", "--json").output)
    assert told["sources"] == ["bank", "mastercard", "stripe"]
    assert "good" in tieout("export", "verify-pack", "first.zip").output
    tieout("export", "pack", *days, "--out", "again.zip", "--known-at", "first.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "first.zip").read_bytes()
    with zipfile.ZipFile("first.zip") as pack:
        components = pack.read("software/components.csv").decode()
        (tmp_path / "check.py").write_bytes(pack.read("check.py"))
    assert f'"tieout","{code_version()}"' in components
    assert '"psycopg"' in components

    alone = [sys.executable, "-I", "check.py", "first.zip"]
    assert subprocess.run(alone, capture_output=True, text=True, check=True).stdout == "first.zip: good\n"

    damaged = (tmp_path / "first.zip").read_bytes()
    (tmp_path / "first.zip").write_bytes(damaged[: len(damaged) // 2])
    result = tieout("export", "verify-pack", "first.zip", "--json", expect=1)
    assert json.loads(result.output)["problems"] == [
        "expected a pack that `tieout export pack` wrote, found something else or a damaged one"
    ]
    for words, code, sentence in (
        (("pack", *days, "--out", "pack.tar"), 2, "expected a name that ends in .zip"),
        (("pack", *days, "--out", "no/such/pack.zip"), 2, "can be written"),
        (("pack", *days, "--out", "p.zip", "--known-at", "first.zip"), 2, "expected a pack with a manifest"),
        (("pack", *days, "--out", "p.zip", "--source", "banks"), 2, "no source 'banks'"),
        (
            ("pack", "--from", "2026-11-13", "--to", "2026-11-09", "--out", "p.zip"),
            1,
            "expected a first day up to",
        ),
        (("lines", "--out", "lines.txt"), 2, ".csv or .parquet"),
    ):
        refused = tieout("export", *words, expect=code)
        assert sentence in refused.output.replace("\n", " ")
        assert "Traceback" not in refused.output
    assert sorted(path.name for path in tmp_path.glob("*p*zip*")) == []
