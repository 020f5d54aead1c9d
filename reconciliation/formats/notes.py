"""Deviations from a standard that a reader tolerates: how often each was seen, and where first. Bounded in memory."""

from typing import Final

_KINDS_MAX: Final = (
    200  # a reader has a handful; texts that carry a value of the file must not grow without end
)


class Notes:
    """Counts what was tolerated, by sentence.

    >>> notes = Notes()
    >>> notes.add("records without their end mark", "line 3")
    >>> notes.add("records without their end mark", "line 9")
    >>> notes.texts()
    ('records without their end mark: 2 times, first at line 3',)
    """

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, str]] = {}

    def add(self, what: str, place: str) -> None:
        """Count one more of ``what``."""
        if what not in self._seen and len(self._seen) >= _KINDS_MAX:
            what = "further deviations"
        count, first = self._seen.get(what, (0, place))
        self._seen[what] = (count + 1, first)

    def texts(self) -> tuple[str, ...]:
        """One sentence for each, in order of first appearance."""
        return tuple(
            f"{what}: {count} times, first at {first}" if count > 1 else f"{what}: at {first}"
            for what, (count, first) in self._seen.items()
        )
