"""`tieout exceptions propose|approve|reject|proposals`: what an analyst wants decided, and the second pair of eyes.

Law: a proposal and its judgement are one transaction each, as the analyst's role; what cannot be is said in a sentence
and changes nothing. Decides nothing: the database keeps the law of two people, the next run carries out.
"""

from dataclasses import asdict
from datetime import date
from typing import Any, cast

import click

from dagster_project.cli.output import Context, Day, json_option, money, pass_context, say, say_rows
from reconciliation.exceptions.proposals import ACTIONS, Action, Proposal, judge, list_proposals, propose

ANALYST = "tieout_analyst"
WORDS = [action.replace("_", "-") for action in ACTIONS]
COLUMNS = (
    "proposal_id",
    "source",
    "exception_id",
    "action",
    "state",
    "proposed_by",
    "expires_on",
    "lines",
    "reason",
)


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
        return text


MORE = (
    "A line to add: LINE_KEY, ENTRY_KEY or ENTRY_KEY/LINE_NO; with fee=, fx= or rounding= before it, it owns the "
    "difference."
)
NUMBER = click.IntRange(1, 2**63 - 1)
by_option = click.option("--by", "actor", required=True, type=Words(), help="Who you are.")


@click.command("propose")
@click.argument("exception_id", type=NUMBER)
@click.argument("action", type=click.Choice(WORDS))
@click.option("--with", "more", multiple=True, type=Words(), metavar="LINE_OR_ENTRY", help=MORE)
@click.option("--without", multiple=True, type=Words(), metavar="LINE_OR_ENTRY", help="A line to leave out.")
@click.option("--suggestion", type=NUMBER, metavar="GROUP_ID", help="Take the lines of this suggested match.")
@click.option("--reason", required=True, type=Words())
@click.option("--expires", "expires_on", type=Day(), help="Last business date on which it may be approved.")
@by_option
@json_option
@pass_context
def propose_decision(
    context: Context,
    exception_id: int,
    action: str,
    more: tuple[str, ...],
    without: tuple[str, ...],
    suggestion: int | None,
    reason: str,
    expires_on: date | None,
    actor: str,
    as_json: bool,
) -> None:
    """Propose a decision about the lines of an exception: that they are one match, that one is no duplicate, or that
    they are left out of the reckoning. It waits for another person to approve it.

    Example: tieout exceptions propose 17 force-match --with E-1043/2 --reason "same payment" --by ada
    """
    with context.project.database.session(ANALYST) as connection:
        made = propose(
            connection,
            context.project.sources,
            exception_id,
            cast(Action, action.replace("-", "_")),
            reason=reason,
            actor=actor,
            suggestion=suggestion,
            more=more,
            without=without,
            expires_on=expires_on,
        )
    say(
        asdict(made),
        f"Proposal {made.proposal_id}: {action} of {_lines(made)}. It waits for another person: "
        f"`tieout exceptions approve {made.proposal_id} --by NAME`.",
        as_json=as_json,
    )


@click.command("approve")
@click.argument("proposal_id", type=NUMBER)
@click.option("--note", type=Words())
@click.option(
    "--acts-from", type=Day(), help="First business date it binds; the last reconciled one if left out."
)
@by_option
@json_option
@pass_context
def approve_proposal(
    context: Context, proposal_id: int, note: str | None, acts_from: date | None, actor: str, as_json: bool
) -> None:
    """Approve what a colleague proposed. All of it must still be as it was; nobody approves their own.

    Example: tieout exceptions approve 3 --by bob
    """
    with context.project.database.session(ANALYST) as connection:
        judged = judge(connection, proposal_id, "approved", actor=actor, note=note, acts_from=acts_from)
    sentence = (
        f"Proposal {proposal_id} is approved and holds from {judged.acts_from} on. "
        f"`tieout reconcile --as-of {judged.acts_from}` carries it out."
    )
    say(asdict(judged), sentence, as_json=as_json)


@click.command("reject")
@click.argument("proposal_id", type=NUMBER)
@click.option("--reason", required=True, type=Words())
@by_option
@json_option
@pass_context
def reject_proposal(context: Context, proposal_id: int, reason: str, actor: str, as_json: bool) -> None:
    """Reject what a colleague proposed, or take back what you proposed yourself.

    Example: tieout exceptions reject 3 --reason "other customer" --by bob
    """
    with context.project.database.session(ANALYST) as connection:
        judged = judge(connection, proposal_id, "rejected", actor=actor, note=reason)
    say(asdict(judged), f"Proposal {proposal_id} is {judged.state}.", as_json=as_json)


@click.command("proposals")
@click.option("--source", "source_id")
@click.option("--all", "with_judged", is_flag=True, help="Those that were judged, too.")
@json_option
@pass_context
def proposals_waiting(context: Context, source_id: str | None, with_judged: bool, as_json: bool) -> None:
    """Proposals that wait for another person, oldest first.

    Example: tieout exceptions proposals --source bank
    """
    if source_id is not None:
        source_id = context.project.sources[source_id].id
    with context.project.database.session("tieout_auditor") as connection:
        found = list_proposals(connection, source_id=source_id, with_judged=with_judged)
    rows = [asdict(one) if as_json else asdict(one) | {"lines": _lines(one)} for one in found]
    say_rows(rows, COLUMNS, as_json=as_json, empty="No proposal waits.")


def _lines(proposal: Proposal) -> str:
    """Lines of a proposal with their amounts, as people write them."""
    return ", ".join(map(_line, proposal.members))


def _line(member: dict[str, Any]) -> str:
    key = member.get("line_key") or f"{member['entry_key']}/{member['line_no']}"
    role = "" if member["role"] == "principal" else f" as {member['role']}"
    return f"{key}{role} ({money(member['amount_minor'], member['asset'])})"
