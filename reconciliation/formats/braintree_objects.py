"""What Braintree's GraphQL objects say: amounts, days, instants and references of a transaction, refund or dispute.

Source: developer.paypal.com/braintree/graphql/reference, types Transaction, Refund, Dispute and DisbursementDetails.
Law: a member is what the schema says, or the file is refused with its path.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from reconciliation.errors import RefusedFile
from reconciliation.formats import values
from reconciliation.formats.canonical import CardTokens
from reconciliation.formats.card_numbers import truncated
from reconciliation.formats.json_records import NumberText
from reconciliation.formats.values import asset_of, day_of, minor_of, reference, shown

REMEDY: Final = "Fetch the objects again from Braintree; if they say the same, ask Braintree."

_TIMESTAMP: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})", re.ASCII
)
_ARN: Final = re.compile(r"[0-9]{23}", re.ASCII)
_CARD_NUMBER: Final = re.compile(r"[0-9]{12,19}", re.ASCII)
_FIRST_SIX: Final = re.compile(r"[0-9]{6}", re.ASCII)
_LAST_FOUR: Final = re.compile(r"[0-9]{4}", re.ASCII)
_VERIFICATION_CODES: Final = ("cvv", "cvv2", "cvc", "cvc2", "cid")
_LISTS: Final = ("transactions", "refunds", "disputes", "payments")


def refused(code: str, place: str, expected: str, found: str) -> RefusedFile:
    """A refusal of this format."""
    return values.refused(code, place, expected, found, REMEDY)


def objects_of(told: Mapping[str, Any], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The object itself, or the nodes of a page that a GraphQL answer holds. Code ``truncated`` for a page of many."""
    if "data" not in told or "id" in told:
        yield place, told
        return
    if told.get("errors"):
        raise refused("truncated", f"{place}.errors", "a complete answer", "errors beside the data")
    search = member(member(told, "data", place), "search", f"{place}.data")
    for name in _LISTS:
        page = search.get(name)
        if not isinstance(page, dict):
            continue
        path = f"{place}.data.search.{name}"
        if member(page, "pageInfo", path, optional=True).get("hasNextPage") is True:
            raise refused(
                "truncated", f"{path}.pageInfo", "all pages in one file", "a page that says there are more"
            )
        edges = page.get("edges")
        for index, edge in enumerate(edges if isinstance(edges, list) else []):
            node = edge.get("node") if isinstance(edge, dict) else None
            if not isinstance(node, dict):
                raise refused("structure", f"{path}.edges[{index}].node", "an object", type(node).__name__)
            yield f"{path}.edges[{index}].node", node


def member(told: Mapping[str, Any], name: str, place: str, *, optional: bool = False) -> Mapping[str, Any]:
    """A member that is an object; an empty one for null where it is optional. Code ``structure``."""
    found = told.get(name)
    if isinstance(found, dict):
        return found
    if optional and found is None:
        return {}
    raise refused(
        "structure", f"{place}.{name}", "an object", "nothing" if found is None else type(found).__name__
    )


def text_of(told: Mapping[str, Any], name: str, place: str) -> str:
    """A member that is a text and not empty. Code ``structure``."""
    found = optional_text(told, name)
    if found is None:
        raise refused("structure", f"{place}.{name}", "a text", shown(str(told.get(name))))
    return found


def optional_text(told: Mapping[str, Any], name: str) -> str | None:
    """A member that is a text and a reference of something, None for anything else."""
    found = told.get(name)
    return reference(found) if isinstance(found, str) and not isinstance(found, NumberText) else None


def money(told: Mapping[str, Any], name: str, place: str) -> tuple[int, str]:
    """Minor units and asset of a ``MonetaryAmount``. Codes ``amount``, ``currency``, ``structure``."""
    amount = member(told, name, place)
    currency = optional_text(amount, "currencyCode") or optional_text(amount, "currencyIsoCode")
    asset = asset_of(currency, f"{place}.{name}.currencyCode")
    found = amount.get("value")
    if not isinstance(found, str):
        raise refused("amount", f"{place}.{name}.value", "a decimal text", shown(str(found)))
    return minor_of(found, asset, f"{place}.{name}.value"), asset


def day(told: Mapping[str, Any], name: str, place: str) -> date | None:
    """A member that is a day, None for null. Code ``date``."""
    found = told.get(name)
    if found is None:
        return None
    if not isinstance(found, str) or isinstance(found, NumberText):
        raise refused("date", f"{place}.{name}", "a date", shown(str(found)))
    return day_of(found, f"{place}.{name}")


def instant(told: Mapping[str, Any], name: str, place: str) -> datetime:
    """A member that is a timestamp. Code ``date``."""
    found = told.get(name)
    if isinstance(found, str) and _TIMESTAMP.fullmatch(found):
        try:
            return datetime.fromisoformat(found).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise refused("date", f"{place}.{name}", "a time such as 2026-11-16T10:00:00.000000Z", shown(str(found)))


def events(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The events of a status history that say anything."""
    found = told.get("statusHistory")
    return [one for one in found if isinstance(one, dict) and one] if isinstance(found, list) else []


def payment_references(told: Mapping[str, Any]) -> dict[str, str | None]:
    """References that the schemes gave, wherever the object keeps them."""
    found: dict[str, str | None] = {"ref_arn": None, "ref_auth_code": None, "ref_rrn": None}
    arn = optional_text(told, "acquirerReferenceNumber")
    if arn is not None and _ARN.fullmatch(arn):
        found["ref_arn"] = arn
    for event in events(told):
        response = event.get("processorResponse")
        if isinstance(response, dict):
            found["ref_auth_code"] = found["ref_auth_code"] or optional_text(response, "authorizationId")
            found["ref_rrn"] = found["ref_rrn"] or optional_text(response, "retrievalReferenceNumber")
    return found


def settlement_batch(told: Mapping[str, Any]) -> str | None:
    """The batch in which it was submitted for settlement."""
    return next(
        (batch for event in events(told) if (batch := optional_text(event, "settlementBatchId"))), None
    )


def card(told: Mapping[str, Any], place: str, tokens: CardTokens) -> dict[str, str | None]:
    """Token and truncated form of the card. Code ``sensitive_data`` for a verification code."""
    method = told.get("paymentMethodSnapshot")
    if not isinstance(method, dict):
        return {}
    if any(optional_text(method, name) for name in _VERIFICATION_CODES):
        path = f"{place}.paymentMethodSnapshot"
        raise refused("sensitive_data", path, "no verification code", "one (not shown)")
    number = optional_text(method, "number")
    if number is not None and _CARD_NUMBER.fullmatch(number):
        return {"card_token": tokens.token(number), "card_truncated": truncated(number)}
    first, last = optional_text(method, "bin"), optional_text(method, "last4")
    if first and last and _FIRST_SIX.fullmatch(first) and _LAST_FOUR.fullmatch(last):
        return {"card_truncated": f"{first}******{last}"}
    return {}
