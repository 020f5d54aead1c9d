"""Gathers the single posts of many threads into batches: one call and one commit for all who wait.

Law: what `post_one` answers is what the ledger committed for that request, as if it had been posted alone; requests
never share a fate, and two under one key never share a batch. A lost connection is answered by asking again under the
same keys, which cannot post twice. Not a queue: the caller waits for the commit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Final, Self

import psycopg

from ledger_core.errors import RequestError, StoreError
from ledger_core.posting import EntryRequest, EntryResult, post

ITEMS_MAX: Final = 500
WAIT_SECONDS: Final = 0.002
# Before each further attempt: at once, since the next connection may do, then as long as a server takes to come back.
_PAUSES_SECONDS: Final = (0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
# Serialization failure, deadlock, a server going down or coming up, a lost connection: ask again, under the same key.
_PASSING: Final = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)


class _OutOfReachError(StoreError):
    """The database, not a request: nobody can be answered."""


@dataclass(slots=True, eq=False)
class _Waiting:
    request: EntryRequest
    done: threading.Event = field(default_factory=threading.Event)
    result: EntryResult | None = None
    error: Exception | None = None


class Combiner:
    """Posts for many threads over one connection of its own; use as a context manager.

    `connect` opens that connection, in its thread, and again when it is lost; it is made an autocommit connection. A
    batch goes off as soon as the last one has committed and as many wait as were seen then, all of whom may come
    back; when `items_max` wait; or after `wait_seconds`. So a lone caller never waits for company.
    """

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection[Any]],
        *,
        items_max: int = ITEMS_MAX,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._connect = connect
        self._items_max = items_max
        self._wait_seconds = wait_seconds
        self._pending: list[_Waiting] = []
        self._expected = 1
        self._changed = threading.Condition()
        self._is_open = False
        self._thread = threading.Thread(target=self._run, name="ledger-combiner", daemon=True)
        self._connection: psycopg.Connection[Any] | None = None

    def __enter__(self) -> Self:
        self._is_open = True
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._is_open = False
            self._changed.notify_all()
        self._thread.join()

    def post_one(self, request: EntryRequest) -> EntryResult:
        """Post one request and wait for its commit; its `group` means nothing here.

        Raises what `post` raises for a malformed request, StoreError when the combiner is closed, and StoreError when
        the database stays out of reach: the request may then have been posted or not, and the same call later tells.
        """
        if not isinstance(request.entry_key, str):
            raise RequestError("combiner: expected a text as entry_key, found another type")
        waiting = _Waiting(replace(request, group=None))
        with self._changed:
            if not self._is_open:
                raise StoreError(
                    "combiner: expected an open one, found it closed; use it as a context manager"
                )
            self._pending.append(waiting)
            if len(self._pending) == 1 or len(self._pending) >= self._expected:
                self._changed.notify()
        waiting.done.wait()
        if waiting.error is not None:
            raise waiting.error
        assert waiting.result is not None  # noqa: S101 - done means one of the two
        return waiting.result

    def _run(self) -> None:
        while batch := self._next_batch():
            self._answer(batch)
            with self._changed:
                self._expected = min(len(batch) + len(self._pending), self._items_max)
            for waiting in batch:
                waiting.done.set()
        if self._connection is not None:
            self._connection.close()

    def _next_batch(self) -> list[_Waiting]:
        """The requests to post next, each key once; empty when closed and nothing waits."""
        with self._changed:
            if not self._changed.wait_for(self._is_due, self._wait_seconds) and not self._pending:
                self._expected = 1
                self._changed.wait_for(self._is_due)
            chosen: dict[str, _Waiting] = {}
            for waiting in self._pending[: self._items_max]:
                chosen.setdefault(waiting.request.entry_key, waiting)
            batch = list(chosen.values())
            taken = set(map(id, batch))
            self._pending = [waiting for waiting in self._pending if id(waiting) not in taken]
        return batch

    def _is_due(self) -> bool:
        return len(self._pending) >= self._expected or not self._is_open

    def _answer(self, batch: list[_Waiting]) -> None:
        """Every request of the batch has its result or error. Whatever refuses the call is looked for in halves."""
        try:
            results = self._posted([waiting.request for waiting in batch])
            for waiting, result in zip(batch, results, strict=True):
                waiting.result = result
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to those who wait
            if len(batch) == 1 or isinstance(error, _OutOfReachError):
                for waiting in batch:
                    waiting.error = error
            else:
                self._answer(batch[: len(batch) // 2])
                self._answer(batch[len(batch) // 2 :])

    def _posted(self, requests: list[EntryRequest]) -> list[EntryResult]:
        for pause_seconds in (*_PAUSES_SECONDS, None):
            try:
                return post(self._connected(), requests)
            except (StoreError, *_PASSING) as error:
                cause = error.__context__ if isinstance(error, StoreError) else error
                if not isinstance(cause, _PASSING):
                    raise
                if self._connection is not None and self._connection.broken:
                    self._connection.close()
            if pause_seconds is not None:
                threading.Event().wait(pause_seconds)
        raise _OutOfReachError(f"combiner: the database stayed out of reach ({type(cause).__name__})")

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            connection = self._connect()
            connection.commit()  # a role or setting taken by `connect`
            connection.autocommit = True
            self._connection = connection
        return self._connection
