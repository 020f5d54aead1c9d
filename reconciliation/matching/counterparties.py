"""How the names of two counterparties relate, and how many bits each relation is worth in these books.

Names are compared without case, accents, punctuation, titles and legal forms:

    EQUAL        Müller & Söhne GmbH    MULLER SOHNE             ABBREVIATED  John Smith    J SMITH, SMITH JO
    SIMILAR      Anna Schmidt           ANNA SCHMITT             DIFFERENT    Anna Schmidt  Elif Demir

What a relation is worth is learned from the books themselves: how often it holds between lines that a reference
nobody else carries already joins, against how often it holds between lines put together by their places alone. A
source whose names never agree so gives about nothing for any of them; one whose names always agree punishes a
difference. Law: a name that is absent on either side says nothing. Decides no match.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from rapidfuzz import fuzz, process

from reconciliation.matching.books import Books, Side
from reconciliation.matching.columns import BoolArray, Column, IntArray, flags, kernel
from reconciliation.matching.references import ABSENT as NO_CODE

EQUAL: Final = 0
ABBREVIATED: Final = 1
SIMILAR: Final = 2
DIFFERENT: Final = 3
ABSENT: Final = 4

DOUBTFUL_MILLIBITS: Final = -6_000  # from here on a counterparty outweighs a price point that agrees
CLIP_MILLIBITS: Final = 12_000  # another name is never proof of another movement
NAME_CLIP_MILLIBITS: Final = 16_000  # nor is one name proof of one movement: customers come again

_SIMILAR_SCORE: Final = 75  # of token_set_ratio; two people who share a surname stay below
_LOOKED_AT_SCORE: Final = 55  # below, an abbreviation is only looked for where a name is very short
_SHORT: Final = 5  # letters of an acronym
_SAMPLE: Final = 4_096  # pairs that weights are learned from, of each kind
_RANDOM_FROM: Final = 64  # named lines from which on pairs by place are mostly not true pairs

# Shares of the relations among true pairs and among others before anything was seen, and the pairs that this belief
# counts for. EQUAL has no share among others: that is a matter of the single name.
_PRIOR_TRUE: Final = np.array([0.75, 0.12, 0.06, 0.07])
_PRIOR_OTHER: Final = np.array([0.001, 0.004, 0.030, 0.965])
_PRIOR_PAIRS: Final = 16

_NOISE: Final = (
    r"\b(?:MR|MRS|MS|DR|HERR|FRAU|LTD|LIMITED|LLC|LLP|INC|CORP|CO|PLC|GMBH|AG|KG|OHG|UG|EK|SA|SARL|SAS|SRL|SPA|BV|NV|"
    r"AB|AS|OY|OU|LDA|KK|WLL|PTY|PTE|AND|UND|ET|THE)\b"
)

_SPELLINGS: Final = {"Æ|AE": "A", "Ø|Œ|OE": "O", "UE": "U", "ß|ẞ": "SS", "Ł": "L", "Đ": "D"}
"""Letters that one system writes as two and another as one; applied to every name alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Distinct comparable names of both sides, and which of them each row carries; -1: none."""

    words: tuple[str, ...]
    external: IntArray
    ledger: IntArray
    ledger_count: IntArray  # rows of the ledger by name


def names_of(books: Books) -> Names:
    """The names in these books, made once."""
    return books.kept("counterparty names", lambda: _names(books))


def relations(books: Books, external_rows: IntArray, ledger_rows: IntArray) -> IntArray:
    """How the names of these pairs of rows relate."""
    names = names_of(books)
    left, right = names.external[external_rows], names.ledger[ledger_rows]
    result = np.where(left == right, EQUAL, DIFFERENT)
    result[(left < 0) | (right < 0)] = ABSENT
    at = np.flatnonzero(result == DIFFERENT)
    stride = len(names.words) + 1
    pairs, inverse = np.unique(left[at] * stride + right[at], return_inverse=True)
    result[at] = _relations(names.words, pairs // stride, pairs % stride)[inverse]
    return result


def weights_of(books: Books) -> IntArray:
    """Millibits by relation, made once for these books; EQUAL as if its name were on one line in a thousand."""
    return books.kept("counterparty weights", lambda: _weights(books))


def counterparty_millibits(
    books: Books, external_rows: IntArray, ledger_rows: IntArray, twins: IntArray
) -> IntArray:
    """What the counterparties of these pairs are worth; an equal name the more the fewer other lines carry it.

    ``twins``: how many ledger lines, with the pair's own, are interchangeable with it and so speak against nothing.
    """
    relation = relations(books, external_rows, ledger_rows)
    result = weights_of(books)[relation].copy()
    names = names_of(books)
    equal = relation == EQUAL
    named = int(names.ledger_count.sum())
    others = np.maximum(names.ledger_count[names.ledger[ledger_rows[equal]]] - twins[equal], 0)
    share = others / max(named, 1) + 1 / max(named, 1_024)
    result[equal] += np.floor(-1_000 * np.log2(share * 1_000) + 0.5).astype(np.int64)
    near_proof = _same_account(books, external_rows, ledger_rows)
    result[near_proof] = NAME_CLIP_MILLIBITS
    return np.clip(result, -CLIP_MILLIBITS, NAME_CLIP_MILLIBITS)


def doubtful(books: Books, external_rows: IntArray, ledger_rows: IntArray) -> BoolArray:
    """Pairs whose counterparties speak so strongly against them that an agreeing reference does not settle it."""
    result = np.zeros(len(external_rows), dtype=np.bool_)
    if not len(external_rows):
        return result
    names = names_of(books)
    left, right = names.external[external_rows], names.ledger[ledger_rows]
    at = np.flatnonzero((left != right) & (left >= 0) & (right >= 0))
    if not len(at) or weights_of(books)[DIFFERENT] > DOUBTFUL_MILLIBITS:
        return result
    stride = len(names.words) + 1
    pairs, inverse = np.unique(left[at] * stride + right[at], return_inverse=True)
    left, right = pairs // stride, pairs % stride
    unlike = np.flatnonzero(_scores(names.words, left, right) < _SIMILAR_SCORE)
    differ = np.zeros(len(pairs), dtype=np.bool_)
    differ[unlike] = _relations(names.words, left[unlike], right[unlike]) == DIFFERENT
    result[at] = differ[inverse]
    return result


def joined_by_reference(books: Books) -> tuple[IntArray, IntArray]:
    """A sample of pairs with one amount and a reference, as written, that one line on either side carries."""
    return books.kept("joined by reference", lambda: _joined_by_reference(books))


def _names(books: Books) -> Names:
    sides = [_comparable(side) for side in (books.external, books.ledger)]
    words = kernel.unique(pa.concat_arrays([side[0] for side in sides]).drop_null())
    codes = []
    for texts, places in sides:
        found = kernel.fill_null(kernel.index_in(texts, value_set=words, skip_nulls=True), -1)
        by_text = np.append(np.asarray(found.to_numpy(), dtype=np.int64), -1)
        codes.append(by_text[places])
    external, ledger = codes
    count = np.bincount(ledger[ledger >= 0], minlength=max(len(words), 1))
    return Names(words=tuple(words.to_pylist()), external=external, ledger=ledger, ledger_count=count)


def _comparable(side: Side) -> tuple[Column, IntArray]:
    """Comparable forms of the distinct names of a side, and the place of each row's among them; the last: none."""
    coded = side.column("counterparty").dictionary_encode()
    places = np.asarray(kernel.fill_null(coded.indices, -1).to_numpy(), dtype=np.int64)
    upper = kernel.utf8_upper(kernel.utf8_normalize(coded.dictionary.cast(pa.string()), form="NFKD"))
    plain = kernel.replace_substring_regex(upper, pattern=r"[\p{M}'.]", replacement="")
    for letters, plainer in _SPELLINGS.items():
        plain = kernel.replace_substring_regex(plain, pattern=letters, replacement=plainer)
    plain = kernel.replace_substring_regex(plain, pattern=r"[^\p{L}\p{N}]+", replacement=" ")
    bare = _trimmed(kernel.replace_substring_regex(plain, pattern=_NOISE, replacement=""))
    kept = kernel.if_else(kernel.equal(bare, ""), _trimmed(plain), bare)
    return kernel.if_else(kernel.equal(kept, ""), pa.scalar(None, pa.string()), kept), places


def _trimmed(texts: Column) -> Column:
    return kernel.utf8_trim_whitespace(kernel.replace_substring_regex(texts, pattern=r"\s+", replacement=" "))


def _scores(words: Sequence[str], left: IntArray, right: IntArray) -> IntArray:
    """Likeness of two names each, 0 to 100, whatever the order of their words."""
    ours = [words[code] for code in left.tolist()]
    theirs = [words[code] for code in right.tolist()]
    found = process.cpdist(ours, theirs, scorer=fuzz.token_set_ratio, workers=1)
    return np.asarray(np.floor(found), dtype=np.int64)


def _relations(words: Sequence[str], left: IntArray, right: IntArray) -> IntArray:
    """Relations of pairs of names that are not the same text."""
    score = _scores(words, left, right)
    result = np.where(score >= _SIMILAR_SCORE, SIMILAR, DIFFERENT)
    length = np.array([len(word) for word in words], dtype=np.int64)
    short = np.minimum(length[left], length[right]) <= _SHORT
    for at in np.flatnonzero((score >= _LOOKED_AT_SCORE) | short).tolist():
        ours, theirs = words[left[at]].split(), words[right[at]].split()
        if sorted(ours) == sorted(theirs):
            result[at] = EQUAL
        elif _abbreviates(ours, theirs) or _abbreviates(theirs, ours):
            result[at] = ABBREVIATED
    return result


def _abbreviates(short: list[str], long: list[str]) -> bool:
    """Whether ``short`` is ``long`` cut off, with words left out, with initials, or as an acronym."""
    cut, whole = "".join(short), "".join(long)
    if len(cut) > len(whole):
        return False
    if len(cut) >= 4 and whole.startswith(cut):
        return True
    if len(short) == 1 and 3 <= len(cut) <= _SHORT and cut == "".join(word[0] for word in long):
        return True
    left = list(long)
    told = False  # initials alone name nobody
    for word in sorted(short, key=len, reverse=True):
        full = next((other for other in left if other == word), None)
        full = full or next((other for other in left if _shortens(word, other)), None)
        if full is None:
            return False
        left.remove(full)
        told |= len(word) >= 3
    return told


def _shortens(word: str, other: str) -> bool:
    """Whether ``word`` is the beginning of ``other``, or ``other`` with letters left out between."""
    if other.startswith(word):
        return True
    if len(word) < 3 or word[0] != other[0] or len(word) >= len(other):
        return False
    letters = iter(other)
    return all(letter in letters for letter in word)


def _weights(books: Books) -> IntArray:
    true = _counts(books, *joined_by_reference(books))
    other = _counts(books, *_joined_by_place(books))
    share_true = (true + _PRIOR_TRUE * _PRIOR_PAIRS) / (true.sum() + _PRIOR_PAIRS)
    other[EQUAL] = 0  # weighed by the frequency of the single name
    share_other = (other + _PRIOR_OTHER * _PRIOR_PAIRS) / (other.sum() + _PRIOR_PAIRS)
    share_other[EQUAL] = 0.001
    bits = np.clip(1_000 * np.log2(share_true / share_other), -CLIP_MILLIBITS, CLIP_MILLIBITS)
    return np.append(np.floor(bits + 0.5).astype(np.int64), 0)


def _counts(books: Books, external_rows: IntArray, ledger_rows: IntArray) -> IntArray:
    return np.bincount(relations(books, external_rows, ledger_rows), minlength=5)[:ABSENT]


def _joined_by_reference(books: Books) -> tuple[IntArray, IntArray]:
    found = [(np.empty(0, dtype=np.int64),) * 2]
    for pair in books.references:
        agreement = books.agreement(pair, as_written=True)
        width = int(agreement.external.max(initial=0)) + 1
        single = np.ones(width, dtype=np.bool_)
        for codes in (agreement.external, agreement.ledger):
            single &= np.bincount(codes, minlength=width) == 1
        single[NO_CODE] = False
        carrier = np.zeros(width, dtype=np.int64)
        carrier[agreement.ledger] = np.arange(len(books.ledger))
        left = np.flatnonzero(single[agreement.external])
        right = carrier[agreement.external[left]]
        keep = books.external.amount_minor[left] == books.ledger.amount_minor[right]
        keep &= books.external_purse[left] == books.ledger_purse[right]
        found.append((_spread(left[keep]), _spread(right[keep])))
    left, right = (np.concatenate(part) for part in zip(*found, strict=True))
    return left, right


def _joined_by_place(books: Books) -> tuple[IntArray, IntArray]:
    """Named rows of either side by their places, a third of the ledger apart; nothing where they are few."""
    names = names_of(books)
    left, right = np.flatnonzero(names.external >= 0), np.flatnonzero(names.ledger >= 0)
    if len(left) < _RANDOM_FROM or len(right) < _RANDOM_FROM:
        return left[:0], right[:0]
    at = _spread(np.arange(len(left)))
    return left[at], right[(at * len(right) // len(left) + len(right) // 3) % len(right)]


def _spread(rows: IntArray) -> IntArray:
    """At most ``_SAMPLE`` of them, evenly."""
    return rows[:: max(1, -(-len(rows) // _SAMPLE))]


def _same_account(books: Books, external_rows: IntArray, ledger_rows: IntArray) -> BoolArray:
    """Pairs whose counterparties have one account at one bank; ledger items that carry none answer nothing."""
    name = "counterparty_account"
    if name not in books.ledger.items.column_names:
        return np.zeros(len(external_rows), dtype=np.bool_)
    same = kernel.equal(
        books.external.column(name).take(pa.array(external_rows)),
        books.ledger.column(name).take(pa.array(ledger_rows)),
    )
    return flags(same)
