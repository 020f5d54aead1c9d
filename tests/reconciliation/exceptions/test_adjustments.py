"""What is drafted brings the members of a proposal to zero, balances, and lands on accounts that can take it."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.errors import RefusedProposal
from reconciliation.exceptions.adjustments import (
    ChartAccount,
    EntryDraft,
    Member,
    Share,
    adjusting_entry,
    difference_of,
)

BANK, FEES, LOSSES = "assets:bank:eur", "expenses:bank-fees", "expenses:write-offs"
CHART = {code: ChartAccount(code=code, asset="EUR") for code in (BANK, FEES, LOSSES)}
DAY = date(2026, 11, 9)


def theirs(amount_minor: int, **references: str) -> Member:
    return Member(
        side="external", key="L", account=BANK, asset="EUR", amount_minor=amount_minor, references=references
    )


def ours(amount_minor: int, key: str = "sale", **references: str) -> Member:
    return Member(
        side="ledger", key=key, account=BANK, asset="EUR", amount_minor=amount_minor, references=references
    )


def drafted(
    *members: Member, shares: tuple[Share, ...] = (Share(account=LOSSES),), chart: object = CHART
) -> EntryDraft:
    return adjusting_entry(
        members,
        shares=shares,
        chart=chart,  # type: ignore[arg-type]  # tests take accounts out of it
        effective_date=DAY,
        description="written off",
    )


def amounts(draft: EntryDraft) -> list[tuple[str, int]]:
    return [(line.account, line.amount_minor) for line in draft.lines]


def test_a_fee_that_the_bank_took_is_booked_on_the_account_of_fees() -> None:
    draft = drafted(theirs(-300, ref_end_to_end="F-1"), shares=(Share(account=FEES),))
    assert amounts(draft) == [(BANK, -300), (FEES, 300)]
    assert (draft.references, draft.corrects) == ({"ref_end_to_end": "F-1"}, None)
    assert draft.as_value() == {
        "effective_date": "2026-11-09",
        "description": "written off",
        "lines": [
            {"account": BANK, "amount_minor": -300, "asset": "EUR"},
            {"account": FEES, "amount_minor": 300, "asset": "EUR"},
        ],
    }


def test_a_sale_that_never_came_is_taken_back_and_names_its_entry() -> None:
    draft = drafted(ours(512, ref_end_to_end="INV-1"))
    assert amounts(draft) == [(BANK, -512), (LOSSES, 512)]
    assert (draft.corrects, draft.references) == ("sale", {})


def test_a_difference_in_amount_is_all_that_is_written_off() -> None:
    draft = drafted(theirs(500, ref_end_to_end="INV-1"), ours(512, ref_end_to_end="INV-1"))
    assert amounts(draft) == [(BANK, -12), (LOSSES, 12)]
    assert (draft.corrects, draft.references) == (None, {"ref_end_to_end": "INV-1"})


def test_references_go_along_where_they_are_of_one_external_line() -> None:
    assert drafted(theirs(5, batch_ref="B"), theirs(6, batch_ref="B")).references == {}


def test_a_difference_is_shared_out_and_one_account_takes_the_rest() -> None:
    shares = (Share(account=FEES, amount_minor=-20), Share(account=LOSSES))
    assert amounts(drafted(theirs(880), shares=shares)) == [(BANK, 880), (FEES, 20), (LOSSES, -900)]


@pytest.mark.parametrize(
    ("members", "shares", "chart", "sentence"),
    [
        ((theirs(5), ours(5)), (Share(account=LOSSES),), CHART, "found none; propose force-match"),
        ((), (Share(account=LOSSES),), CHART, "one account and asset, found no line"),
        (
            (theirs(5), Member(side="ledger", key="e", account=BANK, asset="USD", amount_minor=5)),
            (Share(account=LOSSES),),
            CHART,
            "found EUR on assets:bank:eur, USD on assets:bank:eur",
        ),
        ((theirs(5),), (Share(account="nowhere"),), CHART, "account nowhere.*found none"),
        (
            (theirs(5),),
            (Share(account="usd"),),
            CHART | {"usd": ChartAccount(code="usd", asset="USD")},
            "found one in USD",
        ),
        (
            (theirs(5),),
            (Share(account="old"),),
            CHART | {"old": ChartAccount(code="old", asset="EUR", is_open=False)},
            "found it closed",
        ),
        (
            (theirs(5),),
            (Share(account="all"),),
            CHART | {"all": ChartAccount(code="all", asset="EUR", is_leaf=False)},
            "found others below it",
        ),
        ((theirs(5),), (Share(account=BANK),), CHART, "another account than assets:bank:eur"),
        ((theirs(5),), (), CHART, "each account once, found none"),
        ((theirs(5),), (Share(account=FEES), Share(account=FEES)), CHART, "each account once"),
        ((theirs(5),), (Share(account=FEES), Share(account=LOSSES)), CHART, "one account to take the rest"),
        ((theirs(5),), (Share(account=FEES, amount_minor=4),), CHART, "come to 5 minor units.*found 4"),
        ((theirs(5),), (Share(account=FEES, amount_minor=5), Share(account=LOSSES)), CHART, "found 0"),
        ((ours(5, "a"), ours(6, "b")), (Share(account=LOSSES),), CHART, "one entry.*found a, b"),
        ((theirs(2**62), theirs(2**62)), (Share(account=LOSSES),), CHART, "64 bits"),
    ],
)
def test_what_cannot_be_drafted_is_said(
    members: tuple[Member, ...], shares: tuple[Share, ...], chart: object, sentence: str
) -> None:
    with pytest.raises(RefusedProposal, match=sentence):
        drafted(*members, shares=shares, chart=chart)


MINOR = st.integers(-(10**12), 10**12)


@settings(max_examples=60)
@given(external=st.lists(MINOR, min_size=1, max_size=4), ledger=st.lists(MINOR, max_size=4), fee_minor=MINOR)
def test_members_and_entry_come_to_nothing_and_the_entry_balances(
    external: list[int], ledger: list[int], fee_minor: int
) -> None:
    members = [*map(theirs, external), *map(ours, ledger)]
    shares = (Share(account=FEES, amount_minor=fee_minor), Share(account=LOSSES))
    difference_minor = sum(external) - sum(ledger)
    if difference_minor == 0 or fee_minor in (0, difference_minor):
        with pytest.raises(RefusedProposal):
            drafted(*members, shares=shares)
        return
    draft = drafted(*members, shares=shares)
    assert sum(line.amount_minor for line in draft.lines) == 0
    assert difference_of([*members, ours(draft.lines[0].amount_minor, "proposal:1")]) == 0
    assert drafted(*reversed(members), shares=shares) == draft
