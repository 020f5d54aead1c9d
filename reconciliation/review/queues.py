"""Queues: filters with a name and a letter. Some are everybody's, the others are people's own.

Example:
    [queue.name for queue in BUILT_IN]  # "My open", "Unassigned critical", …
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A filter to come back to: ``g`` and the letter open it."""

    name: str
    letter: str
    path: str
    what: str


BUILT_IN: Final = (
    Queue(name="My open", letter="m", path="/exceptions?owner=me", what="what I have taken"),
    Queue(
        name="Unassigned critical",
        letter="u",
        path="/exceptions?severity=critical&owner=nobody",
        what="critical and with nobody",
    ),
    Queue(name="Late", letter="l", path="/exceptions?due=late&sort=due", what="past its due day"),
    Queue(name="Waiting for my approval", letter="w", path="/proposals", what="proposals of others"),
    Queue(
        name="Timing",
        letter="t",
        path="/exceptions?class=timing&sort=age",
        what="expected to clear by itself",
    ),
    Queue(name="All open", letter="o", path="/exceptions", what="everything that is open"),
)
