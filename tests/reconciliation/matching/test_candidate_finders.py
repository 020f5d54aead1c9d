"""The three finders of candidate pairs: what each finds, said as finance would; the same by looking at every pair."""

import random
import tracemalloc
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciliation.matching import MatchContext, near_references
from reconciliation.matching.amount_and_lag import find_by_amount_and_lag
from reconciliation.matching.books import Books, Side
from reconciliation.matching.edges import (
    EXACT,
    IN_TEXT,
    LOST_PREFIX,
    NEAR,
    NO_REFERENCE,
    NORMALISED,
    Edges,
    cap_for,
    merged,
)
from reconciliation.matching.near_references import find_near
from reconciliation.matching.text_references import find_in_text
from reconciliation.sources import Lag, MatchLimits
from tests.reconciliation.matching.cases import EUR, external, externals, ledger, ledgers, rules, schedule
from tests.reconciliation.matching.naive_candidates import (
    business_lag,
    naive_by_amount_and_lag,
    naive_in_text,
    naive_near,
)

BY_ID = (("ref_end_to_end", "ref_end_to_end"),)
LIMITS = MatchLimits()
MARCH = [date(2026, 2, 16) + timedelta(days=days) for days in range(60)]
WEEKDAYS = np.array([(day - date(1970, 1, 1)).days for day in MARCH if day.weekday() < 5], dtype=np.int64)
CONTEXT = MatchContext(business_days=WEEKDAYS, lag=Lag(earliest=0, expected=1, latest=2))


def books_of(theirs, ours, pairs=BY_ID, **changes):
    by = rules(*pairs, **changes)
    return Books.open(
        Side.external(externals(theirs)),
        Side.ledger(ledgers(ours)),
        leg="ledger",
        references=by.references,
        window_days=by.window_days,
        by_account=True,
    )


def found_by(finder, theirs, ours, *more, pairs=BY_ID, limits=LIMITS, **changes):
    """Pairs by key with their similarity, and the limits met; checks the shape that every finder keeps."""
    books = books_of(theirs, ours, pairs, **changes)
    rows = np.arange(len(books.external)), np.arange(len(books.ledger))
    edges, met = finder(books, *rows, limits, *more)
    places = list(zip(edges.external.tolist(), edges.ledger.tolist(), strict=True))
    assert places == sorted(set(places))
    assert {edges.external.dtype, edges.ledger.dtype, edges.similarity.dtype} == {np.dtype(np.int64)}
    keys = books.external.column("line_key").to_pylist(), books.ledger.column("entry_key").to_pylist()
    return {
        (keys[0][left], keys[1][right]): how
        for (left, right), how in zip(places, edges.similarity.tolist(), strict=True)
    }, met


def near(theirs, ours, **changes):
    return found_by(find_near, theirs, ours, **changes)[0]


def in_text(theirs, ours, **changes):
    return found_by(find_in_text, theirs, ours, **changes)[0]


def at_lag(theirs, ours, *fees, context=CONTEXT, **changes):
    return found_by(find_by_amount_and_lag, theirs, ours, context, fees, **changes)[0]


def at_any_lag(theirs, ours):
    return at_lag(theirs, ours, context=MatchContext(ledger_lag_latest=60))


@pytest.mark.parametrize(
    ("written", "how"),
    [
        ("INV-10017", EXACT),
        ("00inv 10017", NORMALISED),  # leading zeros, case, blanks
        ("INV-10117", NEAR),  # one character other
        ("INV-10071", NEAR),  # two swapped
        ("INV-1017", NEAR),  # one missing
        ("INV-100177X", LOST_PREFIX),  # two too many at the end: the one is the other's beginning
        ("INV-510017", NEAR),  # one too many
        ("10017", None),  # five characters are near too much
        ("V10017", LOST_PREFIX),
        ("RF18-INV-10017", LOST_PREFIX),
        ("INV-100", LOST_PREFIX),
        ("INV-20018", None),  # two others
        ("IVN-01017", None),  # two swaps
        ("NV-1001", None),  # the middle alone
    ],
)
def test_a_reference_is_near_another_by_one_slip_or_one_cut(written, how):
    found = near(
        [external("E1", 100, ref_end_to_end=written)], [ledger("L1", 99, ref_end_to_end="INV-10017")]
    )
    assert found == ({("E1", "L1"): how} if how is not None else {})


def test_a_lost_end_of_one_character_counts_as_the_stronger_of_the_two():
    theirs = [external("E1", 100, ref_end_to_end="INV1001"), external("E2", 100, ref_end_to_end="NV10017")]
    found = near(theirs, [ledger("L1", 100, ref_end_to_end="INV10017")])
    assert found == {("E1", "L1"): LOST_PREFIX, ("E2", "L1"): LOST_PREFIX}


@pytest.mark.parametrize(
    "different",
    [
        {"amount_minor": -100},
        {"account": "assets:bank:other"},
        {"asset": "USD"},
        {"business_date": date(2026, 3, 13)},
    ],
)
@pytest.mark.parametrize("finder", [near, in_text, at_any_lag])
def test_no_finder_looks_across_accounts_assets_signs_or_the_window(finder, different):
    theirs = [external("E1", 100, ref_end_to_end="INV10017")]
    ours = [ledger("L1", 100, ref_end_to_end="INV10017", day=10)]
    assert set(finder(theirs, ours)) == {("E1", "L1")}
    assert finder(theirs, [ours[0] | different]) == {}


def test_references_are_compared_in_the_configured_columns_only():
    theirs = [external("E1", 100, ref_psp="ABC10017", ref_end_to_end="XYZ20028")]
    ours = [ledger("L1", 100, ref_merchant="ABC10018"), ledger("L2", 100, ref_merchant="XYZ20029")]
    assert near(theirs, ours, pairs=(("ref_psp", "ref_merchant"),)) == {("E1", "L1"): NEAR}


def test_a_batch_reference_is_near_only_where_one_line_on_either_side_carries_it():
    pair = (("batch_ref", "batch_ref"),)
    theirs = [external("E1", 100, batch_ref="PO-10017")]
    ours = [ledger("L1", 100, batch_ref="PO-10018"), ledger("L2", 100, batch_ref="PO-10019")]
    assert near(theirs, ours, pairs=pair) == {("E1", "L1"): NEAR, ("E1", "L2"): NEAR}
    ours.append(ledger("L3", 50, batch_ref="PO-10019"))
    assert near(theirs, ours, pairs=pair) == {("E1", "L1"): NEAR}


@pytest.mark.parametrize(
    "text",
    [
        "Payment INV-10017 thank you",
        "EREF+inv 10017",
        "SVWZ+INV\n10017/part",
        "/ROC/0000INV10017//URI",
        "INV 100 17",
        "ref:(INV-10-017).",
    ],
)
def test_a_reference_inside_a_narrative_is_found_however_it_is_broken(text):
    ours = [ledger("L1", 70, ref_end_to_end="INV-10017"), ledger("L2", 100, ref_end_to_end="INV-10018")]
    assert in_text([external("E1", 100, text=text)], ours) == {("E1", "L1"): IN_TEXT}


@pytest.mark.parametrize(
    "text",
    ["Payment INV-1001 thank you", "I N V 10017", "XINV10017", "INV10017B", "invoice of March", None],
)
def test_parts_of_a_word_and_words_in_more_than_three_pieces_are_not_a_reference(text):
    ours = [ledger("L1", 100, ref_end_to_end="INV-10017"), ledger("L2", 100, ref_end_to_end="INVOICE")]
    assert in_text([external("E1", 100, text=text)], ours) == {}


def test_an_identifier_of_many_hyphens_is_one_word():
    uetr = "eb6305c9-1f7f-49de-aed0-16487c27b42d"
    ours = [ledger("L1", 100, ref_uetr=uetr)]
    found = in_text([external("E1", 100, text=f"EREF+{uetr}+X")], ours, pairs=(("ref_uetr", "ref_uetr"),))
    assert found == {("E1", "L1"): IN_TEXT}


def test_a_reference_in_many_parts_is_one_word_between_blanks():
    ours = [ledger("L1", 100, ref_merchant="10/2024/0099/77")]
    theirs = [external("E1", 100, text="our no 10/2024/0099/77 of March")]
    assert in_text(theirs, ours) == {("E1", "L1"): IN_TEXT}


def test_orders_and_batches_are_known_without_being_configured_and_any_column_may_quote_them():
    theirs = [external("E1", 100, text="order 778122"), external("E2", 90, ref_servicer="X/PO-4711-9")]
    ours = [ledger("L1", 100, ref_merchant="778122"), ledger("L2", 95, batch_ref="PO-4711-9")]
    assert in_text(theirs, ours) == {("E1", "L1"): IN_TEXT, ("E2", "L2"): IN_TEXT}


def test_the_name_of_the_counterparty_is_no_text():
    theirs = [external("E1", 100, counterparty="Order 778122 GmbH")]
    assert in_text(theirs, [ledger("L1", 100, ref_merchant="778122")]) == {}


def test_equal_amounts_meet_at_the_lags_that_are_agreed_counted_in_business_days():
    friday, monday, tuesday, wednesday = (date(2026, 3, day) for day in (6, 9, 10, 11))
    ours = [ledger("L1", 100, business_date=friday)]
    on_day = {day: [external("E1", 100, business_date=day)] for day in (monday, tuesday, wednesday)}
    assert at_lag(on_day[monday], ours) == at_lag(on_day[tuesday], ours) == {("E1", "L1"): NO_REFERENCE}
    assert at_lag(on_day[wednesday], ours) == {}  # the third business day; the second is the latest
    learned = MatchContext(business_days=WEEKDAYS, lag_counts=((3, 12),))
    assert at_lag(on_day[wednesday], ours, context=learned) == {("E1", "L1"): NO_REFERENCE}


def test_the_ledger_may_be_late_by_what_is_agreed():
    theirs = [external("E1", 100, day=0)]
    ours = [ledger("L1", 100, day=1), ledger("L2", 100, day=2)]
    assert at_lag(theirs, ours) == {("E1", "L1"): NO_REFERENCE}


def test_without_a_calendar_every_day_counts():
    ours = [ledger("L1", 100, business_date=date(2026, 3, 6))]
    theirs = [external("E1", 100, business_date=date(2026, 3, 9))]
    assert at_lag(theirs, ours, context=MatchContext(lag=Lag(latest=2))) == {}
    assert at_lag(theirs, ours, context=MatchContext(lag=Lag(latest=3))) == {("E1", "L1"): NO_REFERENCE}


def test_what_is_left_after_the_scheduled_fee_meets_its_gross():
    fee = schedule(14_000, 20)  # 1.4 % and 0.20, a minor unit of tolerance
    ours = [ledger("L1", 10_000), ledger("L2", 10), ledger("L3", -10_000), ledger("L4", 20_001)]
    theirs = [
        external("E1", 9840, kind="charge"),
        external("E2", 9839, kind="charge"),
        external("E3", 9838, kind="charge"),
        external("E4", 9840, kind="transfer"),
        external("E5", -10, kind="charge"),  # a fee never turns money around
        external("E6", -10_160, kind="charge"),
        external("E7", 19_702, kind="charge"),  # 19 701 and one
    ]
    assert at_lag(theirs, ours, fee) == dict.fromkeys(
        [("E1", "L1"), ("E2", "L1"), ("E6", "L3"), ("E7", "L4")], NO_REFERENCE
    )


def test_of_a_pair_named_twice_the_strongest_similarity_stays():
    def edges(*triples):
        return Edges.of(*(np.array(part, dtype=np.int64) for part in zip(*triples, strict=True)))

    both = merged(edges((1, 0, NEAR), (0, 1, NO_REFERENCE)), edges((1, 0, IN_TEXT)), edges((0, 2, NEAR)))
    assert both.external.tolist() == [0, 0, 1]
    assert both.ledger.tolist() == [1, 2, 0]
    assert both.similarity.tolist() == [NO_REFERENCE, NEAR, IN_TEXT]
    assert len(merged()) == 0


@pytest.mark.parametrize("finder", [near, in_text, at_lag])
def test_nothing_open_gives_nothing(finder):
    assert finder([], []) == {}
    assert finder([external("E1", 1, ref_end_to_end="INV10017")], []) == {}
    assert finder([], [ledger("L1", 1, ref_end_to_end="INV10017")]) == {}


def test_only_the_open_rows_are_looked_at():
    theirs = [external(f"E{n}", 100, ref_end_to_end="INV10017") for n in range(3)]
    ours = [ledger(f"L{n}", 100, ref_end_to_end="INV10017") for n in range(3)]
    books = books_of(theirs, ours)
    rows = np.array([1]), np.array([0, 2])
    for edges, _ in (
        find_near(books, *rows, LIMITS),
        find_in_text(books, *rows, LIMITS),
        find_by_amount_and_lag(books, *rows, LIMITS, CONTEXT, ()),
    ):
        assert (edges.external.tolist(), edges.ledger.tolist()) == ([1, 1], [0, 2])


def test_lines_of_one_reference_beyond_the_bound_are_a_limit_and_no_pairs():
    theirs = [external(f"E{n}", 100, ref_end_to_end="INV-10017") for n in range(3)]
    ours = [ledger(f"L{n}", 100, ref_end_to_end="INV-10017") for n in range(4)]
    for other in ("INV10017", "INV10018"):
        theirs_now = [item | {"ref_end_to_end": other} for item in theirs]
        found, (limit,) = found_by(find_near, theirs_now, ours, limits=MatchLimits(candidate_pairs=11))
        assert found == {}
        assert (limit.match_pass, limit.what, limit.account) == ("near_reference", "block_too_large", EUR)
        assert (limit.external_count, limit.ledger_count, limit.limit) == (3, 4, 11)
        assert limit.reference == other
        assert len(found_by(find_near, theirs_now, ours, limits=MatchLimits(candidate_pairs=12))[0]) == 12


def test_references_too_dense_to_be_near_give_the_equal_ones_and_a_limit(monkeypatch):
    theirs = [external(f"E{n}", 100, ref_end_to_end=f"INV1000{n}") for n in range(8)]
    ours = [ledger(f"L{n}", 100, ref_end_to_end=f"INV1000{n}") for n in range(8)]
    assert len(near(theirs, ours)) == 64
    monkeypatch.setattr(near_references, "EDGES_MAX", 55)
    found, (limit,) = found_by(find_near, theirs, ours)
    assert found == {(f"E{n}", f"L{n}"): EXACT for n in range(8)}
    assert (limit.what, limit.external_count, limit.ledger_count, limit.limit) == (
        "candidate_pairs",
        8,
        8,
        55,
    )


def test_a_word_that_more_ledger_lines_know_than_may_compete_is_a_limit_that_names_it():
    theirs = [external("E1", 100, text="for M-778122 and INV-10017")]
    ours = [ledger(f"L{n}", 100, ref_merchant="M778122") for n in range(3)]
    ours.append(ledger("L3", 100, ref_end_to_end="INV10017"))
    found, (limit,) = found_by(find_in_text, theirs, ours, limits=MatchLimits(component_items=2))
    assert found == {("E1", "L3"): IN_TEXT}
    assert (limit.match_pass, limit.what, limit.reference) == ("in_text", "block_too_large", "M778122")
    assert (limit.external_count, limit.ledger_count, limit.limit) == (1, 3, 2)


def price_points(count, party, day=0, prefix=""):
    theirs = [external(f"{prefix}E{n}", 999, counterparty=party, day=day) for n in range(count)]
    return theirs, [ledger(f"{prefix}L{n}", 999, counterparty=party, day=day) for n in range(count)]


def test_a_crowded_amount_is_refined_by_counterparty_before_anything_is_given_up():
    first, second = price_points(4, "Acme Ltd", prefix="A"), price_points(4, "ACME-2 LTD", prefix="B")
    theirs, ours = first[0] + second[0], first[1] + second[1]
    assert len(at_lag(theirs, ours)) == 64
    found, met = found_by(
        find_by_amount_and_lag, theirs, ours, CONTEXT, (), limits=MatchLimits(candidate_pairs=20)
    )
    assert set(found) == {(f"{p}E{n}", f"{p}L{m}") for p in "AB" for n in range(4) for m in range(4)}
    assert met == ()


def test_then_each_lag_is_counted_by_itself():
    first, second = price_points(4, "Acme"), price_points(4, "Acme", day=1, prefix="B")
    theirs, ours = first[0] + second[0], first[1] + second[1]
    found, met = found_by(
        find_by_amount_and_lag, theirs, ours, CONTEXT, (), limits=MatchLimits(candidate_pairs=20)
    )
    assert (len(found), met) == (64, ())


def test_what_is_still_too_much_is_named_with_its_counts_and_the_amount():
    theirs, ours = price_points(4, "Acme")
    theirs.append(external("X", 12345))
    ours.append(ledger("Y", 12345))
    found, (limit,) = found_by(
        find_by_amount_and_lag, theirs, ours, CONTEXT, (), limits=MatchLimits(candidate_pairs=15)
    )
    assert found == {("X", "Y"): NO_REFERENCE}
    assert (limit.match_pass, limit.what, limit.reference) == ("amount_and_lag", "block_too_large", "999")
    assert (limit.account, limit.asset) == (EUR, "EUR")
    assert (limit.external_count, limit.ledger_count, limit.limit) == (4, 4, 15)


def test_lines_that_lose_only_some_of_their_candidates_are_named_too():
    theirs, ours = price_points(4, "Acme")
    theirs += [external(f"X{n}", 999, counterparty="Acme", day=1) for n in range(2)]
    ours += [ledger(f"Y{n}", 999, counterparty="Acme", day=1) for n in range(3)]
    found, (limit,) = found_by(
        find_by_amount_and_lag, theirs, ours, CONTEXT, (), limits=MatchLimits(candidate_pairs=15)
    )
    lost = {(f"E{n}", f"L{m}") for n in range(4) for m in range(4)}  # the four of the first day, at lag 0
    every = {(e["line_key"], o["entry_key"]) for e in theirs for o in ours}
    assert set(found) == every - lost
    assert (limit.external_count, limit.ledger_count, limit.limit) == (4, 7, 15)


def test_lines_that_refining_leaves_without_a_counterparty_are_named_too():
    theirs, ours = price_points(3, "Acme")
    theirs += [external("N1", 999), external("N2", 999, counterparty="Nobody")]
    found, (limit,) = found_by(
        find_by_amount_and_lag, theirs, ours, CONTEXT, (), limits=MatchLimits(candidate_pairs=9)
    )
    assert len(found) == 9
    assert (limit.external_count, limit.ledger_count) == (2, 3)


def test_equal_amounts_with_identifiers_that_contradict_are_left_out_and_lines_without_one_stay():
    theirs = [external(f"E{n}", 999, ref_end_to_end=f"AAA{n}00") for n in range(3)] + [external("E3", 999)]
    ours = [
        ledger("L0", 999, ref_end_to_end="BBB000"),
        ledger("L1", 999, ref_end_to_end="AAA-100"),
        ledger("L2", 999, ref_end_to_end="A/9"),  # too short to contradict
        ledger("L3", 999),
    ]
    found = at_lag(theirs, ours)
    open_to_all = {(f"E{n}", key) for n in range(4) for key in ("L2", "L3")}
    assert set(found) == open_to_all | {("E3", "L0"), ("E3", "L1"), ("E1", "L1")}
    assert found["E1", "L1"] == NORMALISED


def test_a_block_may_have_less_than_the_bound_when_there_are_many():
    sizes = np.array([5, 1, 40, 5, 9], dtype=np.int64)
    assert cap_for(sizes, 30, 100) == 30
    assert cap_for(sizes, 30, 20) == 30
    assert cap_for(sizes, 30, 19) == 8  # 1, 5 and 5 fit; 9 does not
    assert cap_for(sizes, 30, 10) == 4  # equal blocks go together
    assert cap_for(sizes, 30, 0) == 0


LETTERS = st.text("AB1", min_size=4, max_size=9)
WRITTEN = st.one_of(
    st.none(),
    LETTERS,
    LETTERS.map(lambda text: f"00{text.lower()[:3]} {text[3:]}"),
    st.sampled_from(["NOTPROVIDED", "Ä1ÄBC7", "ä1ÄBC-77", "A1ÄBC7"]),
)
TEXTS = st.one_of(
    st.none(),
    st.lists(st.one_of(LETTERS, st.sampled_from(["+", "/", "REF", "0", "\n", "A-1"])), max_size=6).map(
        " ".join
    ),
    st.lists(LETTERS, min_size=2, max_size=3).map("".join),
)
COMMON = {
    "amount_minor": st.sampled_from([100, 101, 97, 98, -100, 0]),
    "day": st.integers(0, 13),
    "account": st.sampled_from([EUR, EUR, EUR, "assets:bank:other"]),
    "ref_end_to_end": WRITTEN,
    "ref_psp": WRITTEN,
    "ref_merchant": st.one_of(st.none(), LETTERS),
    "batch_ref": st.one_of(st.none(), LETTERS),
    "counterparty": st.sampled_from([None, "Acme", "ACME.", "Other"]),
    "kind": st.sampled_from(["charge", "transfer"]),
}
THEIRS = st.lists(st.fixed_dictionaries(COMMON | {"text": TEXTS}), max_size=9).map(
    lambda items: [external(f"E{n}", **item) for n, item in enumerate(items)]
)
OURS = st.lists(st.fixed_dictionaries(COMMON), max_size=9).map(
    lambda items: [ledger(f"L{n}", **item) for n, item in enumerate(items)]
)
PAIRS = st.sampled_from(
    [
        BY_ID,
        (("ref_psp", "ref_end_to_end"), *BY_ID),
        (("batch_ref", "batch_ref"), ("ref_psp", "ref_psp")),
    ]
)


@settings(max_examples=80, deadline=None)
@given(THEIRS, OURS, PAIRS)
def test_looking_at_every_pair_finds_the_same_near_references(theirs, ours, pairs):
    assert near(theirs, ours, pairs=pairs) == naive_near(theirs, ours, pairs, window_days=10)


@settings(max_examples=50, deadline=None)
@example([external("E1", 100, ref_end_to_end="11111A")], [ledger("L1", 100, ref_end_to_end="111A11")], BY_ID)
@given(THEIRS, OURS, PAIRS)
def test_hashes_that_collide_bring_no_pair_that_is_not_one(theirs, ours, pairs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_references, "_BASE", 1)  # the sum of the letters
        patch.setattr(near_references, "_MONEY_BASE", 0)
        found = near(theirs, ours, pairs=pairs)
    assert found == naive_near(theirs, ours, pairs, window_days=10)


@settings(max_examples=50, deadline=None)
@given(THEIRS, OURS, PAIRS)
def test_looking_at_every_pair_finds_the_same_references_in_texts(theirs, ours, pairs):
    assert in_text(theirs, ours, pairs=pairs) == naive_in_text(theirs, ours, pairs, window_days=10)


@settings(max_examples=80, deadline=None)
@given(THEIRS, OURS, PAIRS, st.tuples(st.integers(0, 2), st.integers(0, 3)), st.integers(0, 2))
def test_looking_at_every_pair_and_lag_finds_the_same_amounts(theirs, ours, pairs, lag, tolerance):
    late, latest = lag
    context = MatchContext(
        business_days=WEEKDAYS,
        lag=Lag(earliest=0, expected=0, latest=latest),
        ledger_lag_latest=late,
        lag_counts=((5, 1), (6, 0)),
    )
    lags = {*range(-late, latest + 1), 5}
    fees = (schedule(20_000, 1, tolerance_minor=tolerance),)
    expected = naive_by_amount_and_lag(theirs, ours, pairs, MARCH, lags, window_days=10, tolerance=tolerance)
    found = at_lag(theirs, ours, *fees, context=context, pairs=pairs)
    assert found == expected


@settings(max_examples=15, deadline=None)
@given(THEIRS, OURS, PAIRS, st.integers(2, 30), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_the_surrogate_ids_change_nothing(theirs, ours, pairs, bound, chance):
    limits = MatchLimits(candidate_pairs=bound, component_items=3)
    fees = (schedule(20_000, 1),)
    again = [item | {"line_id": 10_000 - item["line_id"]} for item in chance.sample(theirs, len(theirs))]
    moved = [item | {"entry_id": chance.randrange(10**9)} for item in chance.sample(ours, len(ours))]
    for finder, more in ((find_near, ()), (find_in_text, ()), (find_by_amount_and_lag, (CONTEXT, fees))):
        first = found_by(finder, theirs, ours, *more, pairs=pairs, limits=limits)
        assert first == found_by(finder, again, moved, *more, pairs=pairs, limits=limits)


def test_twenty_thousand_references_are_compared_with_as_many_in_little_memory():
    chance = random.Random(5)
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
    slips = [
        (lambda word, at: word[:at] + "Ö" + word[at + 1 :], NEAR),
        (lambda word, at: word[:at] + word[at + 1] + word[at] + word[at + 2 :], NEAR),
        (lambda word, at: word[:at] + word[at + 1 :], NEAR),
        (lambda word, at: word[:at] + "Ö" + word[at:], NEAR),
        (lambda word, _: word[3:], LOST_PREFIX),
    ]
    words = ["Q" + "".join(chance.choice(letters) for _ in range(12)) for _ in range(20_000)]
    theirs, expected = [], {}
    for number, word in enumerate(words):
        slip, how = slips[number % len(slips)]
        at = next(at for at in range(2 + number % 7, 12) if word[at] != word[at + 1])
        written = slip(word, at)
        theirs.append(external(f"E{number}", 100, line_id=number, ref_end_to_end=written))
        expected[f"E{number}", f"L{number}"] = how
    ours = [ledger(f"L{n}", 90, entry_id=n, ref_end_to_end=word) for n, word in enumerate(words)]
    books = books_of(theirs, ours)
    rows = np.arange(len(words))
    books.agreement(books.references[0], as_written=False)  # made by the passes before, on all rows
    tracemalloc.start()
    edges, met = find_near(books, rows, rows, LIMITS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    keys = books.external.column("line_key").to_pylist(), books.ledger.column("entry_key").to_pylist()
    found = {
        (keys[0][left], keys[1][right]): how
        for left, right, how in zip(
            edges.external.tolist(), edges.ledger.tolist(), edges.similarity.tolist(), strict=True
        )
    }
    assert met == ()
    assert found == expected
    assert peak < 60_000_000


def test_the_slow_count_of_lags_is_the_calendar_s():
    assert business_lag(MARCH, date(2026, 3, 6), date(2026, 3, 9)) == 1
    assert business_lag(MARCH, date(2026, 3, 7), date(2026, 3, 9)) == 0  # a closed date is the next open one
    assert business_lag(MARCH, date(2026, 3, 10), date(2026, 3, 6)) == -2
