"""What commands about exceptions ask of people: numbers, words, who they are, and coded reasons."""

import click

from reconciliation.exceptions.proposals import REASON_CODES

LONGEST_WORDS = 4_000  # as the database takes them


class Words(click.ParamType[str]):
    """Something a person said: not blank, and text that can be written down."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text without outer blanks."""
        text = str(value).strip()
        if not text:
            self.fail("expected some words, found nothing", param, ctx)
        if not text.isprintable():
            self.fail("expected one line of UTF-8 text, found characters that cannot be printed", param, ctx)
        if len(text) > LONGEST_WORDS:
            self.fail(f"expected at most {LONGEST_WORDS} characters, found {len(text)}", param, ctx)
        return text


class ReasonWord(click.Choice[str]):
    """A coded reason, with hyphens or underscores; the value has underscores."""

    def __init__(self) -> None:
        super().__init__([code.replace("_", "-") for code in REASON_CODES])

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The code as the database spells it."""
        return str(super().convert(str(value).replace("_", "-"), param, ctx)).replace("-", "_")


NUMBER = click.IntRange(1, 2**63 - 1)
by_option = click.option("--by", "actor", required=True, type=Words(), help="Who you are: your login.")
ids_argument = click.argument("exception_ids", metavar="ID...", nargs=-1, required=True, type=NUMBER)
