"""Random histories: whatever is done to the ledger, it answers and adds up like a model of dicts and ints."""

import contextlib
import itertools
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ledger_core.balance import fold, rebuild, trial_balance
from ledger_core.chart import close_account
from ledger_core.errors import (
    AccountError,
    IdempotencyConflictError,
    LedgerError,
    OverdrawnError,
    PeriodError,
    RequestError,
    TransactionError,
)
from ledger_core.feed import read, relay
from ledger_core.posting import EntryLine, EntryRequest, post
from ledger_core.read_port import current_snapshot
from ledger_core.reversal import reverse
from ledger_core.sql import savepoint, translated_errors
from ledger_core.verify import CheckOutcome, verify
from tests.ledger_core.model import Account, Book, Line, Payment, Refused, Request, Totals

START = datetime(2024, 2, 28, 12, tzinfo=UTC)
POOLS = {
    ("EUR", "main"): ["assets:bank", "assets:till", "liabilities:ann", "liabilities:bob", "income:sales"],
    ("JPY", "main"): ["assets:yen", "liabilities:cho"],
    ("EUR", "branch"): ["assets:branch", "liabilities:dee"],
}
UNGUARDED = ("assets:bank", "income:sales", "assets:yen", "assets:branch")
ACCOUNTS = {
    code: Account(
        asset=asset,
        entity=entity,
        sign=1 if code.startswith("assets") else -1,
        is_guarded=code not in UNGUARDED,
    )
    for (asset, entity), codes in POOLS.items()
    for code in codes
}
TYPES = {"assets": "asset", "liabilities": "liability", "income": "income"}
MOVES = {
    "initiated": {"held", "settled", "released"},
    "held": {"partly_released", "settled", "released"},
    "partly_released": {"partly_released", "settled", "released"},
    "settled": {"reversed"},
}
ERRORS = {
    "account": AccountError,
    "overdrawn": OverdrawnError,
    "period": PeriodError,
    "conflict": IdempotencyConflictError,
}

# Every leaf at every asked instant (NULL: now), as far as a snapshot shows it or as recorded up to a time.
TOTALS = """
SELECT a.account, i.before, b.posted, b.pending, b.available, b.projected
FROM ledger.account_v1 AS a
CROSS JOIN unnest(%(instants)s::timestamptz[]) AS i (before)
CROSS JOIN LATERAL ledger.balances(a.account, i.before, %(known_at)s::timestamptz, %(seen_by)s::text::pg_snapshot) AS b
WHERE a.is_leaf
"""
MOVE = """
SELECT m.outcome
FROM ledger.move_transaction(
  %(key)s, %(event)s, %(state)s, 'Ada', %(at)s, %(accounts)s::text[], %(amounts)s::bigint[], %(assets)s::text[],
  NULL, 'asked'
) AS m
"""

times = st.builds(
    lambda hours, minutes: START + timedelta(hours=hours, minutes=minutes),
    st.integers(0, 60),
    st.sampled_from([0, 0, 1, 59]),
)
amounts = st.integers(1, 60)


@st.composite
def balanced(draw: st.DrawFn) -> tuple[Line, ...]:
    """Lines of one or two pools, each zero in itself, posted or planned."""
    lines: list[Line] = []
    for pool in draw(st.lists(st.sampled_from(sorted(POOLS)), min_size=1, max_size=2, unique=True)):
        codes = draw(st.lists(st.sampled_from(POOLS[pool]), min_size=2, max_size=3))
        layer = draw(st.sampled_from(["posted"] * 6 + ["planned"]))
        parts = draw(st.lists(amounts, min_size=len(codes) - 1, max_size=len(codes) - 1))
        direction = draw(st.sampled_from([1, -1]))
        signed = [direction * part for part in parts]
        lines += [(code, amount, layer) for code, amount in zip(codes, [*signed, -sum(signed)], strict=True)]
    return tuple(lines)


@st.composite
def anything(draw: st.DrawFn) -> tuple[Line, ...]:
    """Mostly right lines, sometimes wrong ones."""
    lines = list(draw(balanced()))
    fault = draw(st.sampled_from([None] * 9 + ["amount", "account", "line", "zero", "summary"]))
    code, amount, layer = lines[0]
    if fault == "amount":
        lines[0] = (code, amount + draw(amounts), layer)
    elif fault in ("account", "summary"):
        lines[0] = ("assets:nobody" if fault == "account" else "assets", amount, layer)
    elif fault == "line":
        lines = lines[:1]
    elif fault == "zero":
        lines[0] = (code, 0, layer)
    return tuple(lines)


class Histories(RuleBasedStateMachine):
    """One database and one model, and everything one may do."""

    def __init__(self, url: contextlib.AbstractContextManager[str]) -> None:
        super().__init__()
        self.resources = contextlib.ExitStack()
        self.connection: psycopg.Connection[Any] = self.resources.enter_context(
            contextlib.closing(psycopg.connect(self.resources.enter_context(url)))
        )
        self.book = Book(ACCOUNTS)
        self.payments: dict[str, Payment] = {}
        self.requests: list[Request] = []
        self.count = 0
        self.remembered: list[tuple[str, datetime, Book]] = []
        self.closed: set[datetime] = set()
        self.open_chart()

    def open_chart(self) -> None:
        codes = [*ACCOUNTS, "assets", "liabilities", "income"]
        given = {
            "codes": codes,
            "types": [TYPES[code.partition(":")[0]] for code in codes],
            "assets": [ACCOUNTS[code].asset if code in ACCOUNTS else "EUR" for code in codes],
            "overdraw": [not (code in ACCOUNTS and ACCOUNTS[code].is_guarded) for code in codes],
            "entities": [ACCOUNTS[code].entity if code in ACCOUNTS else "main" for code in codes],
        }
        self.connection.execute("SELECT ledger.define_assets(ARRAY['EUR', 'JPY'], ARRAY[2, 0])")
        self.connection.execute(
            "SELECT ledger.open_accounts(%(codes)s, %(codes)s, %(types)s, %(assets)s, %(overdraw)s, %(entities)s)",
            given,
        )
        self.connection.commit()

    def key(self) -> str:
        self.count += 1
        return f"k{self.count}"

    def send(self, requests: list[Request]) -> None:
        """The product and the model answer the same."""
        sent = [
            EntryRequest(
                entry_key=request.key,
                effective_at=request.at,
                group=request.group,
                lines=[
                    EntryLine(
                        account=code,
                        amount_minor=amount,
                        layer=layer,
                        asset=ACCOUNTS[code].asset if code in ACCOUNTS else "EUR",
                    )
                    for code, amount, layer in request.lines
                ],
            )
            for request in requests
        ]
        answers = {result.entry_key: result.outcome for result in post(self.connection, sent)}
        self.connection.commit()
        assert answers == self.book.post(requests)
        self.requests += [request for request in requests if answers[request.key] in ("posted", "refused")]

    def request(self, at: datetime, lines: tuple[Line, ...], group: int | None = None) -> Request:
        return Request(self.key(), at, lines, group)

    @rule(at=times, lines=anything())
    def post_one(self, at: datetime, lines: tuple[Line, ...]) -> None:
        self.send([self.request(at, lines)])

    @rule(at=times, pool=st.sampled_from(sorted(POOLS)), amount=st.integers(50, 500))
    def fund(self, at: datetime, pool: tuple[str, str], amount: int) -> None:
        source, *guarded = [code for code in POOLS[pool] if code not in ("assets:till", "income:sales")]
        parts = [(code, -amount, "posted") for code in guarded]
        self.send([self.request(at, ((source, amount * len(parts), "posted"), *parts))])

    @rule(
        sent=st.lists(
            st.tuples(times, anything(), st.sampled_from([None, None, 1, 2])), min_size=2, max_size=7
        ),
        again=st.lists(st.tuples(st.integers(0, 99), st.booleans()), max_size=2),
    )
    def post_batch(
        self, sent: list[tuple[datetime, tuple[Line, ...], int | None]], again: list[tuple[int, bool]]
    ) -> None:
        batch = [self.request(*one) for one in sent]
        for number, in_group in again if self.requests else []:
            earlier = self.requests[number % len(self.requests)]
            if earlier.key not in {request.key for request in batch}:
                batch.insert(
                    number % len(batch),
                    Request(earlier.key, earlier.at, earlier.lines, 1 if in_group else None),
                )
        self.send(batch)

    @precondition(lambda self: self.requests)
    @rule(number=st.integers(0, 99), turn=st.booleans())
    def replay(self, number: int, turn: bool) -> None:
        earlier = self.requests[number % len(self.requests)]
        lines = earlier.lines[::-1] if turn else earlier.lines
        self.send([Request(earlier.key, earlier.at, lines)])

    @precondition(lambda self: self.requests)
    @rule(number=st.integers(0, 99), at=times, lines=anything())
    def use_a_key_again(self, number: int, at: datetime, lines: tuple[Line, ...]) -> None:
        self.send([Request(self.requests[number % len(self.requests)].key, at, lines)])

    @rule(at=times, lines=balanced())
    def change_ones_mind(self, at: datetime, lines: tuple[Line, ...]) -> None:
        request = self.request(at, lines)
        spoken = [
            EntryLine(account=c, amount_minor=a, layer=y, asset=ACCOUNTS[c].asset)
            for c, a, y in request.lines
        ]
        post(self.connection, [EntryRequest(entry_key=request.key, effective_at=at, lines=spoken)])
        self.connection.rollback()

    @precondition(lambda self: self.reversible())
    @rule(number=st.integers(0, 99), at=times)
    def reverse(self, number: int, at: datetime) -> None:
        keys = self.reversible()
        key = keys[number % len(keys)]
        self.agree(
            lambda: self.book.reverse(key, at),
            lambda: reverse(self.connection, key, reason="asked", authoriser="Ada", effective_at=at).is_new,
        )

    @precondition(lambda self: any(payment.held for payment in self.payments.values()))
    @rule(at=times)
    def meddle_with_a_hold(self, at: datetime) -> None:
        """A hold is given back by its transaction alone."""
        holds = [
            key for key, entry in self.book.posted.items() if entry.lines[0][2] in ("outgoing", "incoming")
        ]
        for key in holds:
            with pytest.raises(LedgerError), savepoint(self.connection):
                reverse(self.connection, key, reason="asked", authoriser="Ada", effective_at=at)
        release = [
            EntryLine(account=code, amount_minor=amount, asset="EUR", layer="outgoing")
            for code, amount in (("liabilities:ann", -1), ("liabilities:bob", 1))
        ]
        with pytest.raises(RequestError), savepoint(self.connection):
            post(self.connection, [EntryRequest(entry_key=self.key(), effective_at=at, lines=release)])
        self.connection.commit()

    def reversible(self) -> list[str]:
        return [key for key in self.book.posted if not key.removeprefix("reversal:").startswith("step")]

    def agree(self, expected: Callable[[], object], found: Callable[[], object]) -> None:
        """Both give the same, or both refuse it for the same reason."""
        try:
            wanted = expected()
        except Refused as refusal:
            with pytest.raises(ERRORS[str(refusal)]), savepoint(self.connection):
                found()
        else:
            assert found() == wanted
        self.connection.commit()

    @rule(
        pair=st.sampled_from([pair for codes in POOLS.values() for pair in itertools.pairwise(codes)]),
        at=times,
        amount=amounts,
        states=st.sampled_from(
            [[], ["held"], ["held", "partly_released"], ["held", "settled"], ["settled", "reversed"]]
        ),
    )
    def pay(self, pair: tuple[str, str], at: datetime, amount: int, states: list[str]) -> None:
        key, number = f"t{len(self.payments)}", len(self.payments)
        payer = next((code for code in pair[::-1] if ACCOUNTS[code].sign < 0), pair[0])
        payee = pair[0] if payer == pair[1] else pair[1]
        assert self.move(key, "initiated", at) == "posted"
        self.payments[key] = Payment(payer, payee)
        for state in states:
            if state in MOVES.get(self.payments[key].state, ()):
                self.step(number, state, at, amount)

    @precondition(lambda self: self.payments)
    @rule(
        number=st.integers(0, 99),
        state=st.sampled_from(
            ["held", "held", "partly_released", "settled", "settled", "released", "reversed"]
        ),
        at=times,
        amount=amounts,
    )
    def move_on(self, number: int, state: str, at: datetime, amount: int) -> None:
        self.step(number % len(self.payments), state, at, amount)

    def step(self, number: int, state: str, at: datetime, amount: int) -> None:
        key = f"t{number}"
        payment = self.payments[key]
        if state not in MOVES.get(payment.state, ()):
            with pytest.raises(TransactionError):
                self.move(key, state, at, self.lines(payment, amount))
            return
        if state == "partly_released" and payment.held < 2:
            return
        event = f"step{self.count + 1}"
        if state == "reversed":
            try:
                self.book.reverse(str(payment.settled_key), at)
            except Refused as refusal:
                with pytest.raises(ERRORS[str(refusal)]):
                    self.move(key, state, at)
                return
            assert self.move(key, state, at) == "posted"
        else:
            part = min(amount, payment.held - 1) if state == "partly_released" else amount
            lines = self.lines(payment, part)
            parts = self.entries(event, state, at, payment, part)
            answer = self.move(key, state, at, lines if state != "released" else ())
            if parts:
                assert answer == self.book.post(parts)[event]
            if answer != "posted":
                return
            payment.held = {"held": part, "partly_released": payment.held - part}.get(state, 0)
            payment.settled_key = event if state == "settled" else None
        payment.state = state

    def lines(self, payment: Payment, amount: int) -> tuple[tuple[str, int], ...]:
        """From payer to payee, in the direction in which it will be posted."""
        sign = ACCOUNTS[payment.payer].sign
        return (payment.payer, -sign * amount), (payment.payee, sign * amount)

    def entries(self, event: str, state: str, at: datetime, payment: Payment, amount: int) -> list[Request]:
        """What a step posts, for the model."""

        def in_hold(signed: int) -> tuple[Line, ...]:
            found = self.lines(payment, 1)
            return tuple(
                (code, one * signed, "outgoing" if ACCOUNTS[code].sign * one < 0 else "incoming")
                for code, one in found
            )

        if state == "held":
            return [Request(event, at, in_hold(amount), 1)]
        if state == "partly_released":
            return [Request(event, at, in_hold(-amount), 1)]
        release = in_hold(-payment.held)
        if state == "released":
            return [Request(event, at, release, 1)] if payment.held else []
        posted = tuple((code, signed, "posted") for code, signed in self.lines(payment, amount))
        return [Request(event, at, posted, 1)] + [Request(f"{event}:release", at, release, 1)] * bool(
            payment.held
        )

    def move(self, key: str, state: str, at: datetime, lines: tuple[tuple[str, int], ...] = ()) -> str:
        self.count += 1
        lines = lines if state in ("held", "partly_released", "settled") else ()
        given = {"key": key, "event": f"step{self.count}", "state": state, "at": at}
        given |= {
            "accounts": [code for code, _ in lines] or None,
            "amounts": [amount for _, amount in lines] or None,
        }
        given |= {"assets": [ACCOUNTS[code].asset for code, _ in lines] or None}
        with translated_errors(), savepoint(self.connection):
            row = self.connection.execute(MOVE, given).fetchone()
        self.connection.commit()
        assert row is not None
        return str(row[0])

    @rule(lines=st.sampled_from([1, 2, 5]))
    def fold(self, lines: int) -> None:
        fold(self.connection, lines)
        self.connection.commit()

    @rule()
    def rebuild(self) -> None:
        rebuild(self.connection)
        self.connection.commit()

    @rule()
    def relay(self) -> None:
        relay(self.connection)
        self.connection.commit()

    @precondition(lambda self: self.count > 25)
    @rule(code=st.sampled_from(sorted(ACCOUNTS)))
    def close_account(self, code: str) -> None:
        self.agree(
            lambda: self.book.close(code),
            lambda: (
                "closed"
                if close_account(self.connection, code, reason="over", authoriser="Ada")
                else "unchanged"
            ),
        )

    @precondition(lambda self: self.count > 25)
    @rule(at=st.builds(lambda hours: START + timedelta(hours=hours), st.integers(0, 24)))
    def close_period(self, at: datetime) -> None:
        close = "SELECT ledger.close_period(%s, 'month end', 'Ada')"
        if self.book.open_from is not None and at < self.book.open_from and at not in self.closed:
            with pytest.raises(LedgerError), translated_errors(), savepoint(self.connection):
                self.connection.execute(close, (at,))
        else:
            self.connection.execute(close, (at,))
            self.closed.add(at)  # the same end again changes nothing, later ones closed meanwhile or not
            self.book.open_from = max(self.closed)
        self.connection.commit()

    @rule()
    def remember(self) -> None:
        row = self.connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        self.remembered.append((current_snapshot(self.connection), row[0], deepcopy(self.book)))
        self.connection.rollback()

    def expected(
        self, book: Book, instants: list[datetime | None]
    ) -> dict[tuple[str, datetime | None], Totals]:
        return {(code, before): book.totals(code, before) for code in ACCOUNTS for before in instants}

    def found(
        self, instants: list[datetime | None], seen_by: str | None = None, known_at: datetime | None = None
    ) -> dict[tuple[str, datetime | None], Totals]:
        given = {"instants": instants, "seen_by": seen_by, "known_at": known_at}
        rows = self.connection.execute(TOTALS, given).fetchall()
        return {(row[0], row[1]): tuple(map(int, row[2:])) for row in rows}  # type: ignore[misc]

    @invariant()
    def every_balance_is_what_the_model_says(self) -> None:
        instants = [
            None,
            START + timedelta(hours=12),
            START + timedelta(hours=20, minutes=30),
            START + timedelta(hours=37),
        ]
        found = self.found(instants)
        self.connection.commit()
        assert found == self.expected(self.book, instants)
        for code, account in ACCOUNTS.items():
            if account.is_guarded:
                posted, _, available, _ = found[code, None]
                assert min(account.sign * posted, account.sign * available) >= 0, code

    @precondition(lambda self: self.remembered)
    @invariant()
    def the_past_stays_as_it_was(self) -> None:
        instants = [None, START + timedelta(hours=20, minutes=30)]
        snapshot, moment, book = self.remembered[self.count % len(self.remembered)]
        expected = self.expected(book, instants)
        assert self.found(instants, seen_by=snapshot) == expected
        assert self.found(instants, known_at=moment) == expected
        self.connection.commit()

    @invariant()
    def debits_are_credits(self) -> None:
        sums: dict[str, int] = {}
        for row in trial_balance(self.connection).to_pylist():
            sums[row["asset"]] = sums.get(row["asset"], 0) + row["debit_minor"] - row["credit_minor"]
        self.connection.commit()
        assert not any(sums.values())

    def teardown(self) -> None:
        with self.resources:
            relay(self.connection)
            self.connection.commit()
            events = read(self.connection, 0)
            assert [event.position for event in events] == list(range(1, len(self.book.posted) + 1))
            assert {event.entry_key for event in events} == self.book.posted.keys()
            failed = [check for check in verify(self.connection) if check.outcome is not CheckOutcome.OK]
            assert failed == []


def test_random_histories_are_answered_and_added_up_like_the_model(
    make_database: Callable[..., contextlib.AbstractContextManager[str]], template: str
) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: Histories(make_database(template)),
        settings=settings(max_examples=60, stateful_step_count=40, deadline=None, print_blob=True),
    )
