"""The canonical order, numbers of references and quick ways to normal forms, beside plain statements of them."""

import re
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.matching.candidates import combined
from reconciliation.matching.canonical_order import canonical_order
from reconciliation.matching.columns import distinct, ranks
from reconciliation.matching.references import is_normal, normalised, present
from reconciliation.matching.words import Words, shared_row_codes

KEY = st.text(alphabet="ab\0ä€", max_size=20) | st.sampled_from(["receipt:0000000001", "receipt:0000000002"])
REFERENCE = (
    st.none()
    | st.text(alphabet="AB0b-1ä ", max_size=7)
    | st.sampled_from(["NOTPROVIDED", "INV-7781", "INV7781"])
)
WHOLE = st.sampled_from([-(2**60), -1, 0, 1, 5, 10**9, 2**60])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 2, 200_000]), KEY, st.integers(1, 2)), max_size=12),
    st.text(max_size=9),
)
def test_items_stand_by_date_then_by_the_bytes_of_their_keys_then_by_number(items, shared):
    keys = [shared + key for _, key, _ in items]
    ours = canonical_order(
        np.array([day for day, _, _ in items], dtype=np.int64),
        pa.array(["before", *keys], pa.string()).slice(1),
        np.array([number for _, _, number in items], dtype=np.int64),
        np.arange(len(items)),
    )
    told = sorted(range(len(items)), key=lambda at: (items[at][0], keys[at].encode(), items[at][2], at))
    assert ours.tolist() == told


def plain_form(value: str | None) -> str | None:
    """The comparable form, said once more in one line each."""
    if value in {None, "", "NOTPROVIDED", "NONREF"}:
        return None
    bare = re.sub(r"[\W_]", "", str(value).upper()).lstrip("0")
    return f"N{bare}" if len(bare) >= 4 else f"={value}"


@settings(max_examples=300, deadline=None)
@given(st.lists(REFERENCE, max_size=8), st.lists(REFERENCE, max_size=8))
def test_references_agree_by_number_exactly_where_their_texts_or_their_forms_do(theirs, ours):
    columns = {name: present(pa.array(values, pa.string())) for name, values in (("a", theirs), ("b", ours))}
    words = Words.of(columns)
    forms = [[plain_form(value) for value in values] for values in (theirs, ours)]
    assert [normalised(column).to_pylist() for column in columns.values()] == forms
    written = [column.to_pylist() for column in columns.values()]
    for as_written, (left, right) in ((True, written), (False, forms)):
        codes = words.shared_codes("a", "b", as_written=as_written)
        assert_alike(codes, left, right)
    for name, of in (("a", forms[0]), ("b", forms[1])):
        assert words.is_well_formed(name).tolist() == [
            bool(form) and str(form).startswith("N") for form in of
        ]
    normal = is_normal(columns["a"]).tolist()
    assert all(
        form == f"N{value}" for value, form, one in zip(theirs, forms[0], normal, strict=True) if one and form
    )


def assert_alike(codes: tuple[Any, Any], left: list[Any], right: list[Any]) -> None:
    """Equal codes where values are equal; nought where there is none, and on the right for what the left never has."""
    for code, value in zip(codes[0].tolist(), left, strict=True):
        assert (code == 0) == (value is None)
        for other, wanted in zip(codes[1].tolist(), right, strict=True):
            assert (code == other and code > 0) == (value == wanted and value is not None)
    for other, wanted in zip(codes[1].tolist(), right, strict=True):
        assert (other == 0) == (wanted is None or wanted not in left)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("XYZ"), st.sampled_from("ab")), min_size=1, max_size=6), st.randoms()
)
def test_codes_of_accounts_do_not_depend_on_which_row_came_first(rows, chance):
    order = chance.sample(range(len(rows)), len(rows))
    columns = [pa.array([row[at] for row in rows]) for at in (0, 1)]
    moved = [column.take(pa.array(order)) for column in columns]
    codes, again = shared_row_codes(columns, columns), shared_row_codes(moved, moved)
    assert again[0].tolist() == codes[0][order].tolist()
    assert_alike(codes, rows, rows)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(WHOLE, WHOLE), max_size=8))
def test_ranks_and_combined_codes_are_places_among_the_distinct_rows(rows):
    columns = [np.array([row[at] for row in rows], dtype=np.int64) for at in (0, 1)]
    known = sorted(set(rows))
    assert combined(*columns).tolist() == [known.index(row) for row in rows]
    first = sorted({row[0] for row in rows})
    assert ranks(columns[0]).tolist() == [first.index(row[0]) for row in rows]
    assert distinct(columns[0]).tolist() == first
