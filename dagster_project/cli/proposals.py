"""`tieout exceptions propose|approve|reject|proposals`: what an analyst wants decided, and the second pair of eyes.

Law: a proposal and its judgement are one transaction each, of the person who acts; what cannot be is said in a sentence
and changes nothing. Decides nothing: the database keeps the law of two people, the next run carries out; an approved
entry is posted at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any, cast

import click

from dagster_project.acting import acting
from dagster_project.carrying_out import Carried, carry_out
from dagster_project.cli.output import Context, Day, json_option, money, pass_context, say, say_rows
from dagster_project.cli.wording import NUMBER, ReasonWord, Words, by_option
from ledger_core.money import exponent_of, parse_amount_minor
from reconciliation.errors import ReconciliationError
from reconciliation.exceptions.adjustments import Share
from reconciliation.exceptions.proposals import (
    ACTIONS,
    POSTING_ACTIONS,
    Action,
    Proposal,
    ReasonCode,
    asset_of,
    draft,
    judge,
    list_proposals,
    propose,
)

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
    "reason_code",
    "reason",
)
MORE = (
    "A line to add: LINE_KEY, ENTRY_KEY or ENTRY_KEY/LINE_NO; with fee=, fx= or rounding= before it, it owns the "
    "difference."
)
AMOUNT = (
    "How much of the difference goes to the account before it, as the reconciled account sees it: -3.00 lowers it. The "
    "last account takes the rest."
)
proposals_argument = click.argument(
    "proposal_ids", metavar="PROPOSAL...", nargs=-1, required=True, type=NUMBER
)


@click.command("propose")
@click.argument("exception_id", type=NUMBER)
@click.argument("action", type=click.Choice(WORDS))
@click.option("--with", "more", multiple=True, type=Words(), metavar="LINE_OR_ENTRY", help=MORE)
@click.option("--without", multiple=True, type=Words(), metavar="LINE_OR_ENTRY", help="A line to leave out.")
@click.option("--suggestion", type=NUMBER, metavar="GROUP_ID", help="Take the lines of this suggested match.")
@click.option("--reason", required=True, type=Words())
@click.option("--reason-code", default="other", show_default=True, type=ReasonWord())
@click.option(
    "--account", "accounts", multiple=True, type=Words(), help="Of book-entry: what it is booked against."
)
@click.option("--amount", "amounts", multiple=True, type=Words(), help=AMOUNT)
@click.option(
    "--effective", "effective_date", type=Day(), help="Of an entry; the last reconciled day if left out."
)
@click.option("--expires", "expires_on", type=Day(), help="Last business date on which it may be approved.")
@by_option
@json_option
@pass_context
def propose_decision(
    context: Context, exception_id: int, action: str, actor: str, as_json: bool, **options: Any
) -> None:
    """Propose a decision about the lines of an exception: that they are one match, that one is no duplicate, that they
    are left out of the reckoning, that their difference is written off, or that the entry which is missing is booked.
    It waits for another person to approve it.

    Example: tieout exceptions propose 17 book-entry --account expenses:bank-fees --reason "fee of May" --by ada
    """
    wanted = cast(Action, action.replace("-", "_"))
    posts = wanted in POSTING_ACTIONS
    for name in ("accounts", "amounts", "effective_date"):
        if options[name] and not posts:
            raise click.UsageError(f"{action} posts nothing: expected no --account, --amount or --effective")
    if wanted == "book_entry" and not options["accounts"]:
        raise click.UsageError("book-entry: expected --account, what the entry is booked against")
    chosen = {name: options[name] for name in ("suggestion", "more", "without")}
    sources = context.project.sources
    with acting(context.project.database, actor) as connection:
        entry = None
        if posts:
            shares = _shares(options["accounts"], options["amounts"], asset_of(connection, exception_id))
            day = options["effective_date"]
            entry = draft(
                connection, sources, exception_id, wanted, shares=shares, effective_date=day, **chosen
            )
        made = propose(
            connection,
            sources,
            exception_id,
            wanted,
            reason_code=cast(ReasonCode, options["reason_code"]),
            reason=options["reason"],
            expires_on=options["expires_on"],
            entry=entry,
            **chosen,
        )
    say(
        asdict(made),
        f"Proposal {made.proposal_id}: {action} of {_lines(made)}{_booked(made)}. It waits for another person: "
        f"`tieout exceptions approve {made.proposal_id} --by NAME`.",
        as_json=as_json,
    )


@click.command("approve")
@proposals_argument
@click.option("--note", type=Words())
@click.option(
    "--acts-from", type=Day(), help="First business date it binds; the last reconciled one if left out."
)
@by_option
@json_option
@pass_context
def approve_proposals(
    context: Context,
    proposal_ids: tuple[int, ...],
    note: str | None,
    acts_from: date | None,
    actor: str,
    as_json: bool,
) -> None:
    """Approve what a colleague proposed. All of it must still be as it was; nobody approves their own. An entry is
    posted at once and its source reconciled again; exit 1 when the ledger refuses it.

    Example: tieout exceptions approve 3 --by bob
    """
    carried: dict[int, Carried] = {}

    def approved(connection: Any, number: int) -> Proposal:
        return judge(connection, number, "approved", note=note, acts_from=acts_from)

    def told(one: Proposal) -> str:
        posting = carried.get(one.proposal_id)
        if posting is not None and posting.outcome == "refused":
            return f"Proposal {one.proposal_id} is approved, and the ledger refused its entry: {posting.said}"
        if posting is not None or one.action in POSTING_ACTIONS:
            return f"Proposal {one.proposal_id} is approved and entry {one.entry_key} posted."
        return (
            f"Proposal {one.proposal_id} is approved and holds from {one.acts_from} on. "
            f"`tieout reconcile --as-of {one.acts_from}` carries it out."
        )

    def carry(found: Sequence[Proposal]) -> bool:
        for source_id in sorted({one.source for one in found if one.action in POSTING_ACTIONS}):
            for result in carry_out(context.project, source_id=source_id):
                carried[result.proposal_id] = result
        mine = {one.proposal_id for one in found}
        return not any(one.outcome == "refused" for number, one in carried.items() if number in mine)

    _judge_each(context, proposal_ids, actor, approved, told, then=carry, as_json=as_json)


@click.command("reject")
@proposals_argument
@click.option("--reason", required=True, type=Words())
@by_option
@json_option
@pass_context
def reject_proposals(
    context: Context, proposal_ids: tuple[int, ...], reason: str, actor: str, as_json: bool
) -> None:
    """Reject what a colleague proposed, or take back what you proposed yourself.

    Example: tieout exceptions reject 3 --reason "other customer" --by bob
    """

    def rejected(connection: Any, number: int) -> Proposal:
        return judge(connection, number, "rejected", note=reason)

    def told(one: Proposal) -> str:
        return f"Proposal {one.proposal_id} is {one.state}."

    _judge_each(context, proposal_ids, actor, rejected, told, as_json=as_json)


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
    rows = [asdict(one) if as_json else asdict(one) | {"lines": _lines(one) + _booked(one)} for one in found]
    say_rows(rows, COLUMNS, as_json=as_json, empty="No proposal waits.")


def _judge_each(
    context: Context,
    proposal_ids: tuple[int, ...],
    actor: str,
    judged: Callable[[Any, int], Proposal],
    told: Callable[[Proposal], str],
    *,
    then: Callable[[Sequence[Proposal]], bool] | None = None,
    as_json: bool,
) -> None:
    """Judge each, in its own savepoint; one alone is refused by its error, several have their own outcomes."""
    numbers = list(dict.fromkeys(proposal_ids))
    found: list[Proposal] = []
    refused: dict[int, str] = {}
    with acting(context.project.database, actor) as connection:
        for number in numbers:
            try:
                with connection.transaction():
                    found.append(judged(connection, number))
            except ReconciliationError as refusal:
                if len(numbers) == 1:
                    raise
                refused[number] = str(refusal)
    all_done = (then is None or then(found)) and not refused
    by_number = {one.proposal_id: one for one in found}
    if as_json and len(numbers) == 1:
        say(asdict(found[0]), "", as_json=True)
    elif as_json:
        results = [
            {"proposal_id": number, "outcome": "refused", "said": refused[number]}
            if number in refused
            else asdict(by_number[number]) | {"outcome": "done", "said": told(by_number[number])}
            for number in numbers
        ]
        say(results, "", as_json=True)
    else:
        for number in numbers:
            click.echo(f"not done: {refused[number]}" if number in refused else told(by_number[number]))
    if not all_done:
        raise SystemExit(1)


def _shares(accounts: Sequence[str], amounts: Sequence[str], asset: str) -> list[Share]:
    """Accounts with the amounts that were said for them; the last may have none and takes the rest."""
    if len(amounts) > len(accounts) or len(amounts) < len(accounts) - 1:
        raise click.UsageError(
            f"expected an --amount for each --account or each but the last, found {len(amounts)} for {len(accounts)}"
        )
    minor = [parse_amount_minor(text, exponent_of(asset)) for text in amounts]
    padded: list[int | None] = [*minor, *[None] * (len(accounts) - len(minor))]
    return [
        Share(account=account, amount_minor=amount) for account, amount in zip(accounts, padded, strict=True)
    ]


def _lines(proposal: Proposal) -> str:
    """Lines of a proposal with their amounts, as people write them."""
    return ", ".join(map(_line, proposal.members))


def _line(member: dict[str, Any]) -> str:
    key = member.get("line_key") or f"{member['entry_key']}/{member['line_no']}"
    role = "" if member["role"] == "principal" else f" as {member['role']}"
    return f"{key}{role} ({money(member['amount_minor'], member['asset'])})"


def _booked(proposal: Proposal) -> str:
    """What would be posted, as people write it."""
    if proposal.entry is None:
        return ""
    lines = ", ".join(
        f"{line['account']} {money(line['amount_minor'], line['asset'])}" for line in proposal.entry["lines"]
    )
    return f", booking {lines} on {proposal.entry['effective_date']}"
