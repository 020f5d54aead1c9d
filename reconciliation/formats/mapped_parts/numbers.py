"""Amounts of a mapped file, one by one and a column at a time, by the grammar that the mapping states.

Law: a text is an amount by the stated marks and signs or the file is refused; grouping marks stand every three digits;
no float anywhere. The column form gives the same integers as the single form, or nothing, and then the single form
finds the row to refuse (a property test compares the two).
"""

import re
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from ledger_core.money import MAX_AMOUNT_MINOR, exponent_of
from reconciliation.formats.values import minor_of, refused, shown
from reconciliation.mapping import NumberRules

Integers = npt.NDArray[np.int64]

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values
BLANKS: Final = " \t\u00a0\u202f"
_TEXT_LENGTH_MAX: Final = 60
_PRECISION: Final = 38  # digits of a decimal128


class Numbers:
    """Reads amounts by one grammar, in major or in minor units.

    >>> from reconciliation.mapping import NumberRules
    >>> rules = NumberRules(decimal_mark=",", grouping_mark=".", negative="trailing", affixes=("EUR",))
    >>> Numbers(rules, unit="major").minor("1.234,56- EUR", "EUR", "row 2")
    -123456
    """

    def __init__(self, rules: NumberRules, *, unit: str, typed: bool = False) -> None:
        self._mark = rules.decimal_mark
        self._minor_units = unit == "minor"
        forms = {*map(str, rules.negative), *(["leading"] if typed else [])}
        pattern = _grammar(rules, forms, minor_units=self._minor_units)
        self._single = re.compile(pattern, re.ASCII)
        self._column = f"^(?:{pattern})$"
        self._others = f"[^0-9{re.escape(self._mark)}]"
        self._plain = not rules.grouping_mark and not rules.affixes and forms == {"leading"}

    def minor(self, text: str, asset: str, place: str) -> int:
        """Minor units of one text. Code ``amount``."""
        text = text.strip(BLANKS)
        if len(text) > _TEXT_LENGTH_MAX or self._single.fullmatch(text) is None:
            raise refused("amount", place, self._expected(), shown(text))
        digits = re.sub(self._others, "", text)
        negative = "-" in text or "(" in text
        if self._minor_units:
            number = int(digits)
            if number > MAX_AMOUNT_MINOR:
                raise refused("amount", place, "an amount within 64 bits", shown(text))
            return -number if negative else number
        if digits.startswith(self._mark):
            digits = "0" + digits
        return minor_of("-" + digits if negative else digits, asset, place, decimal_mark=self._mark)

    def minors(self, texts: pa.StringArray, asset: str) -> Integers | None:
        """Minor units of a whole column of one asset; None if any text needs a closer look."""
        if not len(texts):
            return np.empty(0, dtype=np.int64)
        fitting = kernel.match_substring_regex(texts, self._column)
        if texts.null_count or not kernel.all(fitting).as_py():
            return None
        if kernel.max(kernel.utf8_length(texts)).as_py() > _TEXT_LENGTH_MAX:
            return None
        digits = texts
        if not self._plain:
            digits = kernel.replace_substring_regex(texts, self._others, "")
        elif kernel.any(kernel.starts_with(texts, "+")).as_py():
            digits = kernel.replace_substring(texts, "+", "")
        if self._mark == ",":
            digits = kernel.replace_substring(digits, ",", ".")
        exponent = 0 if self._minor_units else exponent_of(asset)
        numbers = _unscaled(digits, exponent)
        if numbers is None or self._plain:
            return numbers
        negative = kernel.match_substring_regex(texts, r"[-(]").to_numpy(zero_copy_only=False)
        return np.where(negative, -numbers, numbers)

    def _expected(self) -> str:
        unit = "whole minor units" if self._minor_units else f"digits with {self._mark!r} as decimal mark"
        return f"{unit}, written as the mapping's numbers say"


def _grammar(rules: NumberRules, negative: set[str], *, minor_units: bool) -> str:
    """One pattern for ``re`` and RE2: digits with strict groups, the signs that are allowed, what may stand around."""
    mark, group = re.escape(rules.decimal_mark), re.escape(rules.grouping_mark)
    whole = "[0-9]{1,19}"
    if rules.grouping_mark:
        whole = f"(?:[0-9]{{1,3}}(?:{group}[0-9]{{3}}){{1,6}}|{whole})"
    number = whole if minor_units else f"(?:{whole}(?:{mark}[0-9]{{1,12}})?|{mark}[0-9]{{1,12}})"
    affix = "|".join(re.escape(affix) for affix in sorted(rules.affixes, key=len, reverse=True))
    blank = f"[{BLANKS}]?"
    before = f"(?:(?:{affix}){blank})?" if affix else ""
    behind = f"(?:{blank}(?:{affix}))?" if affix else ""
    signs = "[-+]" if rules.plus else "-"
    forms = [f"{before}{number}{behind}"]
    if "leading" in negative:
        gap = blank if affix else ""
        forms.append(f"{signs}{gap}{before}{number}{behind}")
        if affix:
            forms.append(f"(?:{affix}){blank}{signs}{number}")
    elif rules.plus and "trailing" not in negative:
        forms.append(rf"\+{before}{number}{behind}")
    if "trailing" in negative:
        forms += [f"{before}{number}{signs}{behind}", f"{before}{number}{behind}{blank}{signs}"]
    if "parentheses" in negative:
        forms.append(rf"\({before}{number}{behind}\)")
    return "|".join(dict.fromkeys(forms))


def _unscaled(digits: pa.StringArray, exponent: int) -> Integers | None:
    """Decimal texts as integers of that many decimals; None where one does not fit or has more."""
    try:
        decimals = kernel.cast(digits, pa.decimal128(_PRECISION, exponent))
    except pa.ArrowInvalid:
        return None
    if decimals.null_count:
        return None
    buffer = decimals.buffers()[1]
    if buffer is None:
        return np.empty(0, dtype=np.int64)
    halves = np.frombuffer(memoryview(buffer), dtype=np.int64).reshape(-1, 2)
    halves = halves[decimals.offset : decimals.offset + len(decimals)]
    low: Integers = halves[:, 0]
    high: Integers = halves[:, 1]
    if (high != low >> 63).any() or (low == np.iinfo(np.int64).min).any():
        return None
    return low
