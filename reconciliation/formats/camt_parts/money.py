"""Amounts of a camt entry or detail: what was booked, charges inside it, what was paid before conversion and the rate.

Law: the direction is ``CdtDbtInd`` alone; the amount of a detail is its own ``Amt`` or ``AmtDtls/TxAmt``, never
``InstdAmt``. A rate becomes a fraction only when its direction is certain: by ``UnitCcy`` or by the two amounts it
stands between; else its text alone is kept.
"""

import re
from typing import Any, Final

from ledger_core.money import MAX_AMOUNT_MINOR, exponent_of
from reconciliation.formats.camt_parts.entry_parts import Amount, Parts, amount_at, each
from reconciliation.formats.values import exact_rate, fees_json, minor_of, refused, shown

SIGNS: Final = {"CRDT": 1, "DBIT": -1}  # the bank's credit raises our balance

_RATE: Final = re.compile(r"\d{1,18}(?:\.\d{1,18})?", re.ASCII)
_CONVERTED: Final = (
    "InstdAmt",
    "TxAmt",
    "CntrValAmt",
)  # in the order in which they tell what the customer paid
_EXCHANGED: Final = (*_CONVERTED, "AnncdPstngAmt", "PrtryAmt")
_TRUE: Final = frozenset({"true", "1"})


def sign_of(indicator: str | None, place: str) -> int:
    """1 for CRDT, -1 for DBIT. Code ``structure``."""
    sign = SIGNS.get(indicator or "")
    if sign is None:
        raise refused(
            "structure",
            f"{place}/CdtDbtInd",
            "CRDT or DBIT",
            shown(indicator),
            "Without a direction the amount means nothing; ask the sender for a corrected file.",
        )
    return sign


def unsigned_minor(amount: Amount, place: str) -> int:
    """Minor units of an amount with its currency. Codes ``amount``, ``currency``."""
    text, asset = amount
    if asset is None:
        raise refused("currency", place, "a currency in the attribute Ccy", "none")
    if text is not None and not (text[:1].isdigit() and text[-1:].isdigit()):
        minor = minor_of(_completed(text), asset, place)
    else:
        minor = minor_of(text, asset, place)
    if text is not None and text.startswith("-"):
        raise refused(
            "amount",
            place,
            "an amount without sign",
            shown(text),
            "The direction belongs into CdtDbtInd; ask for a corrected file.",
        )
    return minor


def leaf_minor(detail: Parts, entry_sign: int, asset: str) -> int | None:
    """Signed amount of a detail in its entry's currency; None if it states none, or another currency."""
    path = "Amt" if "Amt" in detail else "AmtDtls/TxAmt/Amt"
    amount = amount_at(detail, path)
    if not amount[0] or amount[1] != asset:
        return None
    sign = sign_of(detail["CdtDbtInd"], "TxDtls") if "CdtDbtInd" in detail else entry_sign
    return sign * unsigned_minor(amount, f"TxDtls/{path}")


def add_exchange(row: dict[str, Any], source: Parts, line_minor: int, asset: str, *, raises: bool) -> None:
    """Original amount and rate of a movement that was converted."""
    original_minor, original = 0, ""
    for name in _CONVERTED:
        path = f"AmtDtls/{name}/Amt"
        amount = amount_at(source, path)
        if amount[0] and amount[1] and amount[1] != asset:
            original_minor, original = unsigned_minor(amount, path), amount[1]
            row["original_amount_minor"] = original_minor if raises else -original_minor
            row["original_asset"] = original
            break
    exchange = next(
        (path for name in _EXCHANGED if f"{(path := f'AmtDtls/{name}/CcyXchg')}/XchgRate" in source), None
    )
    if exchange is None:
        return
    rate = source[f"{exchange}/XchgRate"] or ""
    if _RATE.fullmatch(rate) is None:
        raise refused("amount", f"{exchange}/XchgRate", "a plain decimal number", shown(rate))
    row["fx_rate"] = rate
    if original:
        fraction = _directed(source, exchange, (original_minor, original), (abs(line_minor), asset))
        if fraction is not None:
            row["fx_numerator"], row["fx_denominator"] = fraction


def add_charges(row: dict[str, Any], source: Parts, line_minor: int, asset: str) -> None:
    """Charges of a movement; those inside its amount are the line's fee, positive when they cost us."""
    fee_minor = 0
    fees = []
    records = each(source, "Chrgs") if "Chrgs/Amt" in source else each(source, "Chrgs/Rcrd")
    for record in records:
        amount = amount_at(source, f"{record}/Amt")
        if amount[0] is None:
            continue  # version 2 may state their total alone
        minor = unsigned_minor(amount, f"{record}/Amt")
        if not minor:
            continue
        cost_minor = -sign_of(source.get(f"{record}/CdtDbtInd") or "DBIT", record) * minor
        marked = source.get(f"{record}/ChrgInclInd")
        included = marked in _TRUE if marked else _explains(source, cost_minor, line_minor, asset)
        fees.append(("charge", cost_minor, str(amount[1]), included))
        if included and amount[1] == asset:
            fee_minor += cost_minor
    if abs(fee_minor) > MAX_AMOUNT_MINOR:
        raise refused("amount", "Chrgs", "a sum within 64 bits", "more")
    row["fee_minor"] = fee_minor
    row["fees"] = fees_json(fees)


def _completed(text: str) -> str:
    """A decimal of XML Schema may begin or end with its point: .5 is 0.5, and 5. is 5."""
    if len(text) > 1:
        if text.startswith("."):
            return f"0{text}"
        if text.endswith("."):
            return text[:-1]
    return text


def _explains(source: Parts, cost_minor: int, line_minor: int, asset: str) -> bool:
    """Whether a charge without mark is what parts the payment's own amount from the booked one: 53 = 50 + 3."""
    for path in ("Amt", "AmtDtls/TxAmt/Amt", "AmtDtls/InstdAmt/Amt"):
        amount = amount_at(source, path)
        if amount[0] and amount[1] == asset:
            paid_minor = unsigned_minor(amount, path)
            if abs(line_minor) != paid_minor:
                return abs(line_minor + cost_minor) == paid_minor
    return False


def _directed(
    source: Parts, exchange: str, original: tuple[int, str], booked: tuple[int, str]
) -> tuple[int, int] | None:
    """The rate as booked / original in major units; None where neither the unit currency nor the amounts tell."""
    fraction = exact_rate(source[f"{exchange}/XchgRate"])
    named = {source.get(f"{exchange}/{name}") for name in ("SrcCcy", "TrgtCcy", "UnitCcy")} - {None}
    if fraction is None or not named <= {original[1], booked[1]}:
        return None
    numerator, denominator = fraction
    left = booked[0] * 10 ** exponent_of(original[1])  # booked x denominator = original x numerator, if times
    right = original[0] * 10 ** exponent_of(booked[1])
    times = _close(left * denominator, right * numerator)
    divided = _close(left * numerator, right * denominator)
    if times == divided:
        unit = source.get(f"{exchange}/UnitCcy")
        times, divided = unit == original[1], unit == booked[1]
    if times == divided:
        return None
    return (numerator, denominator) if times else (denominator, numerator)


def _close(one: int, other: int) -> bool:
    """Within a twentieth: charges and rounding lie between, a rate the wrong way round hardly ever."""
    return 20 * abs(one - other) <= max(one, other)
