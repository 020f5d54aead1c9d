"""The ledger in plain dicts and ints: slow, obvious, and without a line in common with the product."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

Line = tuple[str, int, str]  # account, amount_minor, layer
Totals = tuple[int, int, int, int]  # posted, pending, available, projected


@dataclass(frozen=True)
class Account:
    asset: str
    entity: str
    sign: int  # +1 where a debit adds to what is there
    is_guarded: bool


@dataclass(frozen=True)
class Request:
    key: str
    at: datetime
    lines: tuple[Line, ...]
    group: int | None = None


class Refused(Exception):
    """The word for what is wrong."""


@dataclass
class Book:
    """What was posted and refused; every question is answered by adding up lines."""

    accounts: Mapping[str, Account]
    posted: dict[str, Request] = field(default_factory=dict)
    refused: dict[str, Request] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    open_from: datetime | None = None

    def totals(self, account: str, before: datetime | None = None, extra: Iterable[Line] = ()) -> Totals:
        layers = {"posted": 0, "outgoing": 0, "incoming": 0, "planned": 0}
        seen = [
            line
            for entry in self.posted.values()
            if before is None or entry.at < before
            for line in entry.lines
        ]
        for code, amount, layer in [*seen, *extra]:
            if code == account:
                layers[layer] += amount
        pending = layers["posted"] + layers["outgoing"] + layers["incoming"]
        return layers["posted"], pending, layers["posted"] + layers["outgoing"], pending + layers["planned"]

    def check(self, at: datetime, lines: Sequence[Line]) -> None:
        """What can be said of an entry alone."""
        if len(lines) < 2:
            raise Refused("too_few_lines")
        sums: dict[tuple[str, str, str], int] = {}
        for code, amount, layer in lines:
            if code not in self.accounts:
                raise Refused("account")
            if amount == 0:
                raise Refused("amount")
            if code in self.closed:
                raise Refused("account")
            world = "held" if layer in ("outgoing", "incoming") else layer
            place = (self.accounts[code].asset, self.accounts[code].entity, world)
            sums[place] = sums.get(place, 0) + amount
        if any(sums.values()):
            raise Refused("unbalanced")
        if self.open_from is not None and at < self.open_from:
            raise Refused("period")

    def afford(self, lines: Sequence[Line]) -> None:
        """No guarded account goes below zero by all of these lines together."""
        for code, amount, layer in lines:
            account = self.accounts[code]
            takes = account.is_guarded and account.sign * amount < 0 and layer in ("posted", "outgoing")
            if takes and account.sign * self.totals(code, extra=lines)[2] < 0:
                raise Refused("overdrawn")

    def fits(self, requests: Sequence[Request]) -> bool:
        try:
            for request in requests:
                self.check(request.at, request.lines)
            self.afford([line for request in requests for line in request.lines])
        except Refused:
            return False
        return True

    def known(self, request: Request) -> str | None:
        """The answer to a key used before; a posted entry in any order of its lines, a refused one as sent."""
        if earlier := self.posted.get(request.key):
            same = (earlier.at, sorted(earlier.lines)) == (request.at, sorted(request.lines))
            return "replayed" if same else "conflict"
        if earlier := self.refused.get(request.key):
            return "refused" if (earlier.at, earlier.lines) == (request.at, request.lines) else "conflict"
        return None

    def post(self, requests: Sequence[Request]) -> dict[str, str]:
        """All at once if that fits, else each half in turn, down to single entries and groups, which are refused."""
        answers = {request.key: self.known(request) for request in requests}
        units: dict[object, list[Request]] = {}
        for request in requests:
            units.setdefault(request.key if request.group is None else request.group, []).append(request)
        fresh = [[one for one in unit if answers[one.key] is None] for unit in units.values()]
        for unit, new in zip(units.values(), fresh, strict=True):
            if any(answers[one.key] in ("conflict", "refused") for one in unit):
                self.refused |= {one.key: one for one in new}
                answers |= dict.fromkeys((one.key for one in new), "refused")
                new.clear()
        self._try(fresh, answers)
        return {key: str(answer) for key, answer in answers.items()}

    def _try(self, units: list[list[Request]], answers: dict[str, str | None]) -> None:
        requests = [request for unit in units for request in unit]
        if fits := self.fits(requests):
            self.posted |= {request.key: request for request in requests}
        elif len(units) > 1:
            middle = (len(units) + 1) // 2
            self._try(units[:middle], answers)
            self._try(units[middle:], answers)
            return
        else:
            self.refused |= {request.key: request for request in requests}
        answers |= dict.fromkeys((request.key for request in requests), "posted" if fits else "refused")

    def reverse(self, key: str, at: datetime) -> bool:
        """Whether it is new; raises what refuses it, and keeps nothing then."""
        mirror = Request(
            f"reversal:{key}",
            at,
            tuple((code, -amount, layer) for code, amount, layer in self.posted[key].lines),
        )
        if earlier := self.posted.get(mirror.key):
            if earlier.at != at:
                raise Refused("conflict")
            return False
        self.check(at, mirror.lines)
        self.afford(mirror.lines)
        self.posted[mirror.key] = mirror
        return True

    def close(self, account: str) -> str:
        layers = {layer for entry in self.posted.values() for _, _, layer in entry.lines}
        sums = [
            sum(
                amount
                for e in self.posted.values()
                for code, amount, of in e.lines
                if (code, of) == (account, layer)
            )
            for layer in layers
        ]
        if any(sums):
            raise Refused("account")
        answer = "unchanged" if account in self.closed else "closed"
        self.closed.add(account)
        return answer


@dataclass
class Payment:
    """A business transaction between two accounts: the states it may go through and what it still holds."""

    payer: str
    payee: str
    state: str = "initiated"
    held: int = 0
    settled_key: str | None = None
