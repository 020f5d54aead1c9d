"""Which files a source is expected to deliver, where they are picked up, and what counts as one. Part of
``sources.yaml`` (``files`` of a source and of an account).

Law: no secret stands here. A place with a password, a query or a fragment in its URL is refused, and the refusal does
not repeat it. Opens no place, reads no clock.
"""

import difflib
import re
from datetime import time
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""In the order of ``date.weekday``."""

BUSINESS_DAYS: Final = "business_days"
EVERY_DAY: Final = "every_day"
NEVER: Final = "none"
DAY_WORDS: Final = (BUSINESS_DAYS, EVERY_DAY, NEVER)
DEADLINE: Final = time(9, 0)
HIDDEN_KEYS: Final = frozenset({"place"})
"""Keys whose values no message repeats, as somebody may have written a secret into them."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _as_words(days: object) -> object:
    """A single word as it is, a list as a tuple of words."""
    if isinstance(days, str):
        return (days,)
    if isinstance(days, list | tuple) and days and all(isinstance(day, str) for day in days):
        return tuple(days)
    raise ValueError(f"expected {', '.join(DAY_WORDS)} or a list of weekdays such as [mon, thu]")


def _known_days(days: tuple[str, ...]) -> tuple[str, ...]:
    if len(days) == 1 and days[0] in DAY_WORDS:
        return days
    for day in days:
        if day not in WEEKDAYS:
            near = difflib.get_close_matches(day, (*WEEKDAYS, *DAY_WORDS), n=1)
            raise ValueError(
                f"{day!r} is none of {', '.join(DAY_WORDS)} nor a list of {', '.join(WEEKDAYS)}"
                + (f"; did you mean {near[0]}?" if near else "")
            )
    if len(set(days)) < len(days):
        raise ValueError("a weekday is named twice")
    return tuple(sorted(days, key=WEEKDAYS.index))


def _without_secret(place: str) -> str:
    """A place as it is. What is said of another does not repeat it, nor does whoever says it (see ``HIDDEN_KEYS``)."""
    without_ipv6 = re.sub(r"\[[^]]*\]", "", place)
    if "::" in without_ipv6:
        raise ValueError("a chain of filesystems is no place; name one filesystem (not repeated here)")
    if "://" not in place:
        if not place.startswith("/"):
            raise ValueError(
                "a folder is written with its whole path, such as /srv/outbox; else give a URL (not repeated here)"
            )
        return place
    try:
        parts = urlsplit(place)
        port = parts.port
    except ValueError:
        raise ValueError(
            "a URL such as sftp://bank.example:22/outbox is expected (not repeated here)"
        ) from None
    colon = port is None and ":" in without_ipv6.partition("://")[2].partition("/")[0]
    if colon or parts.password is not None or parts.query or parts.fragment or "@" in parts.path:
        raise ValueError(
            "the URL of a place holds no password, query or fragment (not repeated here); what is needed to get in "
            "belongs into the file named by TIEOUT_PLACES_FILE"
        )
    return place


ExpectedDays = Annotated[tuple[str, ...], BeforeValidator(_as_words), AfterValidator(_known_days)]
Place = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_without_secret)]


class AccountFiles(_Model):
    """What one account is owed where that differs from the rest of its source; what is left out is the source's."""

    days: ExpectedDays | None = None
    deadline: time | None = None


class FileSchedule(_Model):
    """Which files are expected, until when, and where they come from.

    ``days`` are the dates that files are *for*: each business day, each calendar day, certain weekdays, or none.
    ``deadline`` is local time on the business day after the file's business date (a closed date belongs to the next
    business day, like everything else dated on it): from then on an absent file is missing, and not before.

    ``place`` is where files are fetched from; without one they are put into the landing folder by whoever delivers.
    """

    days: ExpectedDays = (BUSINESS_DAYS,)
    per: Literal["account", "source"] = "source"
    deadline: time = DEADLINE
    pattern: str = Field(default="*", min_length=1, max_length=200)
    place: Place | None = None
    ready_marker: str | None = Field(default=None, pattern=r"^[._-][A-Za-z0-9._-]{1,20}$")
    bytes_max: int = Field(default=4_000_000_000, ge=1)
    files_max: int = Field(default=500, ge=1, le=100_000)

    @model_validator(mode="after")
    def _names_alone(self) -> "FileSchedule":
        if self.place is not None and "/" in self.pattern:
            raise ValueError(
                "the pattern of a place is one of names, without folders; put the folder into the place"
            )
        return self
