"""A filter is an address: the same both ways, typed, and nothing of it becomes part of a query."""

from datetime import date
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import ImmutableMultiDict

from reconciliation.review import words
from reconciliation.review.conditions import AGES, CONDITIONS, DUES
from reconciliation.review.filters import CLOSED_STATUSES, NAMES, OPEN_STATUSES, ORDERS, Filter, FilterProblem
from reconciliation.vocabulary import EXCEPTION_CLASSES, EXCEPTION_KINDS, SEVERITIES
from tests.reconciliation.review.attacks import ATTACKS

TODAY = date(2026, 11, 20)


def some(*values: str, most: int = 3) -> st.SearchStrategy[str]:
    """A list of some values as an address has it; often empty."""
    return st.one_of(st.just(""), st.lists(st.sampled_from(values), max_size=most, unique=True).map(",".join))


def one(*values: str) -> st.SearchStrategy[str]:
    """One value or none."""
    return st.sampled_from(("", "", *values))


DAYS = one("2026-11-09", "2026-10-20..2026-11-05", "..2026-11-01", "2026-11-01..")
PARTS: dict[str, st.SearchStrategy[str]] = {
    "status": st.one_of(some(*OPEN_STATUSES), some(*CLOSED_STATUSES, "closed"), one("any", "open,cleared")),
    "source": some("bank", "stripe", "nowhere"),
    "severity": some(*words.SEVERITIES),
    "asset": some("EUR", "JPY", "KWD", "POINTS"),
    "kind": some(*words.KINDS),
    "class": some(*words.CLASSES),
    "owner": one("me", "bob", "nobody"),
    "team": one("disputes", "nobody"),
    "amount_from": one("10", "9.995", "0", "1000000000"),
    "amount_to": one("10", "10.005", "9999999999999999999"),
    "age": one(*AGES),
    "due": st.one_of(one(*DUES), DAYS),
    "dated": DAYS,
    "opened": DAYS,
    "snoozed": one("yes", "no"),
    "suggested": one("yes", "no"),
    "reference": one("INV-1", "E2E_", "E2E%", "inv"),
    "q": one("acme", "100%", "L-17", "17", "<b", "söhne"),
}


@st.composite
def addresses(draw: st.DrawFn, parts_most: int = 5) -> Filter:
    """A filter with a few conditions and one of the orders that its rows have."""
    chosen = draw(st.lists(st.sampled_from(sorted(PARTS)), max_size=parts_most, unique=True))
    given_ = {name: draw(PARTS[name]) for name in chosen}
    found = Filter.from_query("&".join(f"{name}={quote(value)}" for name, value in given_.items()))
    return found.but(sort=draw(st.sampled_from(ORDERS[found.looks_at])))


@given(addresses(parts_most=9))
def test_a_filter_and_its_address_say_the_same(filter_: Filter) -> None:
    again = Filter.from_query(filter_.to_query())
    assert again.to_query() == filter_.to_query()
    assert again.where(today=TODAY, me="ada") == filter_.where(today=TODAY, me="ada")
    assert again.order == filter_.order
    assert "=&" not in filter_.to_query() + "&"


def test_empty_and_usual_parameters_leave_no_trace() -> None:
    usual = "status=&owner=+&sort=worst&q=&status=open,taken,proposed,approved,carried"
    query = f"{usual}&severity=low&severity=critical&class=timing"
    assert Filter.from_query(query).to_query() == "severity=critical,low&class=timing"
    assert Filter.from_query("status=closed&sort=cleared").path() == "/exceptions?status=cleared,resolved"
    assert Filter.from_query("status=open,cleared").order == "newest"
    assert Filter.from_query("opened=2026-11-09..2026-11-09").opened == "2026-11-09"


@pytest.mark.parametrize(
    ("query", "parameter", "said"),
    [
        ("sevrity=low", "sevrity", "did you mean severity?"),
        ("severity=crit", "severity", "did you mean critical?"),
        ("status=close", "status", "did you mean closed?"),
        ("owner=ada&owner=bob", "owner", "found several"),
        ("amount_from=1e3", "amount_from", "expected an amount"),
        ("amount_to=-1", "amount_to", "expected an amount"),
        ("due=2026-02-30", "due", "expected late, today, week, none, a day"),
        ("opened=2026-11-09..2026-11-01", "opened", "expected a day"),
        ("age=31", "age", "expected 0, 1-2"),
        ("status=closed&sort=due", "sort", "expected cleared or newest"),
        ("sort=random", "sort", "expected worst"),
        ("cleared=2026-11-09", "cleared", "together with status"),
        ("source=a'b", "source", "expected names"),
        ("asset=" + ",".join(f"A{n}" for n in range(41)), "asset", "at most 40"),
        ("q=" + "x" * 201, "q", "at most 200"),
        ("q=a%0Bb", "q", "text that can be read"),
        ("q=%FF", "filter", "expected an address"),
    ],
)
def test_a_bad_parameter_is_refused_by_its_name(query: str, parameter: str, said: str) -> None:
    with pytest.raises(FilterProblem, match=parameter) as refused:
        Filter.from_query(query)
    assert refused.value.parameter == parameter
    assert said in str(refused.value)


def test_conditions_are_constants_whatever_is_typed() -> None:
    accepted = 0
    for name in NAMES:
        for attack in ATTACKS:
            try:
                condition, bound = Filter.from_query(_multi(name, attack)).where(today=TODAY, me="ada")
            except FilterProblem:
                continue
            accepted += 1
            assert set(condition.split(" AND ")) <= {
                part for text in CONDITIONS.values() for part in text.split(" AND ")
            } | {"true"}
            assert all(f"%({key})s" in condition for key in bound)
    assert accepted > 200


def _multi(name: str, value: str) -> ImmutableMultiDict[str, str]:
    return ImmutableMultiDict([(name, value)])


def test_what_is_searched_stands_for_itself() -> None:
    _, bound = Filter(reference="100%_\\", q="a_b%").where(today=TODAY)
    assert bound["reference"] == r"100\%\_\\%"
    assert bound["q_within"] == r"%a\_b\%%"


def test_the_words_cover_the_codes_of_the_database() -> None:
    assert set(words.KINDS) == EXCEPTION_KINDS
    assert set(words.CLASSES) == EXCEPTION_CLASSES
    assert tuple(reversed(words.SEVERITIES)) == SEVERITIES
    assert set(words.STATUSES) == {*OPEN_STATUSES, *CLOSED_STATUSES}
