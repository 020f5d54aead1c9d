"""The README is true: its commands exist, its rooms are there, and its counts of real files are what the readers say
today.
"""

import re
from pathlib import Path

import click

from dagster_project.cli.main import root
from tests.corpora import results, summary

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_every_command_that_the_readme_names_exists() -> None:
    named = {
        tuple(words.split()) for words in re.findall(r"\btieout ((?:[a-z]+(?:-[a-z]+)* ?){1,2})", README)
    }
    assert len(named) > 10
    context = click.Context(root)
    for words in named:
        first = root.get_command(context, words[0])
        assert first is not None, words
        if isinstance(first, click.Group) and len(words) > 1 and not first.invoke_without_command:
            assert first.get_command(context, words[1]) is not None, words


def test_every_room_of_the_map_is_there() -> None:
    rooms = re.findall(r"^( *)([a-z_]+)/  ", README, re.MULTILINE)
    assert len(rooms) > 10
    parent = ""
    for indent, name in rooms:
        folder = f"{parent}/{name}" if indent else name
        parent = parent if indent else name
        assert (REPOSITORY / folder).is_dir(), folder


def test_the_picture_and_every_file_that_is_named_are_there() -> None:
    for name in re.findall(r"\]\((\.[^)]+)\)", README):
        assert (REPOSITORY / name).is_file(), name


def test_the_counts_of_real_files_are_those_of_today(corpora: Path) -> None:
    for line in summary(results(corpora)):
        assert line in README, line
