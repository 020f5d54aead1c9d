"""The rules of the house that no library checks, and the tools that check the others. Each rule is shown to bite."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("dagster_project", "fixtures", "ledger_core", "reconciliation")
PURE = ("fixtures", "ledger_core", "reconciliation")
FILE_LINES_MAX, FUNCTION_LINES_MAX = 400, 70
LONG_ON_PURPOSE = {
    "reconciliation/schema.sql",  # one schema, read from top to bottom
    "reconciliation/migrations/versions",  # the same text, as it was applied
    "ledger_core/schema.sql",
    "ledger_core/migrations/versions",
}
BANNED = {
    "datetime.now": "the clock belongs to the shell: take the instant as a parameter",
    "date.today": "the clock belongs to the shell: take the date as a parameter",
    "time.time": "the clock belongs to the shell",
    "os.environ": "settings are read in dagster_project.settings and passed in",
    "os.getenv": "settings are read in dagster_project.settings and passed in",
    "random.random": "randomness is passed in as a seeded generator",
    "float": "money is an integer of minor units",
}


def sources(*packages: str, suffix: str = ".py") -> Iterator[Path]:
    for package in packages:
        yield from sorted((REPOSITORY / package).rglob(f"*{suffix}"))


def calls_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call | ast.Attribute):
            target = node.func if isinstance(node, ast.Call) else node
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                yield node.lineno, f"{target.value.id}.{target.attr}"
            elif isinstance(node, ast.Call) and isinstance(target, ast.Name):
                yield node.lineno, target.id


def banned_in(text: str) -> set[str]:
    return {
        f"{name} (line {line}): {BANNED[name]}" for line, name in calls_of(ast.parse(text)) if name in BANNED
    }


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )


def test_below_the_shell_there_is_no_clock_no_environment_no_chance_and_no_float() -> None:
    found = {
        str(path.relative_to(REPOSITORY)): banned
        for path in sources(*PURE)
        if (banned := banned_in(path.read_text()))
    }
    assert not found


@pytest.mark.parametrize("name", sorted(BANNED))
def test_a_banned_call_is_noticed(name: str) -> None:
    assert banned_in(f"value = {name}('1')\n")


def test_files_are_short_enough_to_be_read() -> None:
    long = {
        name: lines
        for suffix in (".py", ".sql")
        for path in sources(*PACKAGES, suffix=suffix)
        if (lines := path.read_text().count("\n")) > FILE_LINES_MAX
        and not any(
            (name := str(path.relative_to(REPOSITORY))).startswith(known) for known in LONG_ON_PURPOSE
        )
    }
    assert not long


def test_functions_fit_a_screen() -> None:
    long = {
        f"{path.relative_to(REPOSITORY)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in sources(*PACKAGES)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        and node.end_lineno
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    }
    assert not long


def test_every_module_opens_with_what_it_is() -> None:
    mute = [
        str(path) for path in sources(*PACKAGES) if not ast.get_docstring(ast.parse(path.read_text() or "''"))
    ]
    assert not [path for path in mute if Path(path).stat().st_size]


def test_shipped_sql_names_its_columns_and_python_builds_none_from_text() -> None:
    stars = [
        str(path)
        for path in sources(*PACKAGES, suffix=".sql")
        if re.search(r"SELECT\s+(\w+\.)?\*\s", path.read_text())
    ]
    assert not stars
    built = [
        f"{path}:{node.lineno}"
        for path in sources("ledger_core", "reconciliation", "dagster_project")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.JoinedStr)
        and re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|DROP)\s", _opening(node))
    ]
    assert not built


def _opening(node: ast.JoinedStr) -> str:
    first = node.values[0] if node.values else None
    return str(first.value) if isinstance(first, ast.Constant) else ""


def test_nothing_names_a_machine_or_a_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    ).stdout.split("\0")
    texts = [REPOSITORY / name for name in listed if name and (REPOSITORY / name).is_file()]
    pattern = re.compile(
        r"files\.pythonhosted\.org|pypi\.org/simple|--index-url|--extra-index-url|/home/\w+/"
    )
    named = [
        str(path.relative_to(REPOSITORY))
        for path in texts
        if path.suffix != ".png"
        and path != Path(__file__)
        and pattern.search(path.read_text(errors="replace"))
    ]
    assert not named


def test_the_linter_finds_nothing() -> None:
    done = run("ruff", "check", "--quiet", ".")
    assert done.returncode == 0, done.stdout


def test_the_types_hold() -> None:
    done = run("mypy", "--no-error-summary")
    assert done.returncode == 0, done.stdout
