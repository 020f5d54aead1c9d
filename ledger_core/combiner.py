"""Gathers the single posts of many threads into batches: one round trip and one commit for all who wait.

Law: what `post_one` answers is what the ledger committed for that request, as if it had been posted alone; requests
never share a fate, and two under one key never share a batch. A lost connection is answered by asking again under the
same keys, which cannot post twice. Not a queue: the caller waits for the commit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import psycopg

from ledger_core.errors import LedgerError, RequestError, StoreError
from ledger_core.posting import EntryRequest, EntryResult, post

ITEMS_MAX: Final = 500
WAIT_SECONDS: Final = 0.002
_ATTEMPTS: Final = 5
# Serialization failure, deadlock, a server going down or coming up, a lost connection: ask again, under the same key.
_PASSING: Final = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)


@dataclass(slots=True, eq=False)
class _Waiting:
    request: EntryRequest
    done: threading.Event = field(default_factory=threading.Event)
    result: EntryResult | None = None
    error: Exception | None = None


class Combiner:
    """Posts for many threads over one connection of its own; use as a context manager.

    A batch goes off as soon as the last one has committed, when `items_max` requests wait or, while fewer callers wait
    than in the last batch, after `wait_seconds` at the latest: a lone caller never waits for company.
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
        """Post one request and wait for its commit.

        Raises RequestError for a malformed request, StoreError when the database stays out of reach: the request may
        then have been posted or not, and the same call later tells.
        """
        waiting = _Waiting(request)
        with self._changed:
            if not self._is_open:
                raise StoreError(
                    "combiner: expected an open one, found it closed; use it as a context manager"
                )
            self._pending.append(waiting)
            self._changed.notify_all()
        waiting.done.wait()
        if waiting.error is not None:
            raise waiting.error
        assert waiting.result is not None  # noqa: S101 - done means one of the two
        return waiting.result

    def _run(self) -> None:
        last_size = 1
        while batch := self._next_batch(last_size):
            last_size = len(batch)
            self._answer(batch)
        if self._connection is not None:
            self._connection.close()

    def _next_batch(self, last_size: int) -> list[_Waiting]:
        """The requests to post next, each key once; empty when closed and nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or not self._is_open)
            expected = min(last_size, self._items_max)
            self._changed.wait_for(
                lambda: len(self._pending) >= expected or not self._is_open, self._wait_seconds
            )
            chosen: dict[str, _Waiting] = {}
            for waiting in self._pending[: self._items_max]:
                chosen.setdefault(waiting.request.entry_key, waiting)
            batch = list(chosen.values())
            taken = set(map(id, batch))
            self._pending = [waiting for waiting in self._pending if id(waiting) not in taken]
        return batch

    def _answer(self, batch: list[_Waiting]) -> None:
        try:
            results = self._posted([waiting.request for waiting in batch])
        except RequestError as error:
            if len(batch) > 1:  # one of them is malformed: everybody alone
                for waiting in batch:
                    self._answer([waiting])
                return
            batch[0].error = error
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to those who wait
            for waiting in batch:
                waiting.error = error
        else:
            for waiting, result in zip(batch, results, strict=True):
                waiting.result = result
        for waiting in batch:
            waiting.done.set()

    def _posted(self, requests: list[EntryRequest]) -> list[EntryResult]:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = self._connect()
                with self._connection.transaction():
                    return post(self._connection, requests)
            except (LedgerError, *_PASSING) as error:
                cause = error.__context__ if isinstance(error, StoreError) else error
                if self._connection is not None and self._connection.broken:
                    self._connection.close()
                if attempt == _ATTEMPTS or not isinstance(cause, _PASSING):
                    raise (
                        error
                        if isinstance(error, LedgerError)
                        else StoreError(
                            f"combiner: the database stayed out of reach ({type(error).__name__})"
                        )
                    ) from None
        raise AssertionError("unreachable")
