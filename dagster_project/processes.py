"""Processes of ours: how to know one again, how to end it, and how this one is asked to.

Law: a process id alone names nobody, since another program may have it by now; with the moment of its start it does.
Nothing is signalled that was not known again first.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process by its id and the moment it started, in clock ticks since the machine did."""

    process_id: int
    started: int

    @classmethod
    def of(cls, process_id: int) -> "ProcessMark | None":
        """The mark of a living process; None when it is gone, or dead and not yet reaped."""
        try:
            text = Path(f"/proc/{process_id}/stat").read_text()
        except OSError:
            return None
        state, *fields = text.rpartition(") ")[2].split()  # the name before may hold anything
        return None if state in ("Z", "X") else cls(process_id, int(fields[18]))

    @classmethod
    def own(cls) -> "ProcessMark":
        """The mark of this process."""
        found = cls.of(os.getpid())
        assert found is not None  # noqa: S101 - it is running this line
        return found

    @classmethod
    def parse(cls, text: str) -> "ProcessMark | None":
        """The mark that ``text`` was made of; None for any other text."""
        process_id, _, started = text.partition(":")
        return cls(int(process_id), int(started)) if process_id.isdecimal() and started.isdecimal() else None

    @property
    def text(self) -> str:
        """The mark as a text."""
        return f"{self.process_id}:{self.started}"

    @property
    def is_alive(self) -> bool:
        """Whether this very process lives."""
        return ProcessMark.of(self.process_id) == self

    def end(self, *, grace_seconds: float, group: bool = False) -> None:
        """End it: asked first, and after the grace killed; with ``group``, whatever it left of its group too."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while self.is_alive and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.05)
        if group:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process_id, signal.SIGKILL)
        self._signal(signal.SIGKILL)
        self._reap()

    def _signal(self, number: int) -> None:
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process_id, number)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.process_id, os.WNOHANG)


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that INT, TERM and a closed terminal set; a terminal that may be closed (`nohup`) stays so."""
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
