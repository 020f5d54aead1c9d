"""Where alerts go: a plain file, or anything Apprise knows by a URL (mail, Slack, Teams, PagerDuty, webhooks).

Law: a channel's address is a secret and appears in no message, no repr and no row; its name is what people see. A
channel that cannot deliver says so and raises nothing, so that the alert stays waiting.
"""

import fcntl
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from reconciliation.errors import ReconciliationError

_SCHEME_LENGTH_MAX: Final = 20


class Channel(Protocol):
    """A way out. ``name`` is unique among the channels in use and holds no secret."""

    @property
    def name(self) -> str:
        """What people and the attempts' record call it."""
        ...

    def send(self, title: str, body: str) -> bool:
        """Hand over one alert as plain text; False when it was not taken."""
        ...


@dataclass(frozen=True, slots=True)
class FileChannel:
    """Appends one JSON line with ``title`` and ``body`` to a file, and is sure of it before it says so."""

    path: Path
    name: str = "file"

    def send(self, title: str, body: str) -> bool:
        """Append and sync; a line that could not be written whole is taken back."""
        line = json.dumps({"title": title, "body": body}, ensure_ascii=False) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                size = os.fstat(file.fileno()).st_size
                try:
                    whole = file.write(line.encode()) == len(line.encode())
                    os.fsync(file)
                except OSError:
                    whole = False
                if not whole:
                    os.ftruncate(file.fileno(), size)
        except OSError:
            return False
        return whole


@dataclass(frozen=True, slots=True)
class AppriseChannel:
    """One Apprise URL. The URL carries passwords and tokens and is never shown."""

    name: str
    url: str = field(repr=False)

    def send(self, title: str, body: str) -> bool:
        """Send as plain text through Apprise, which reports failures as False."""
        import apprise  # noqa: PLC0415 - takes a third of a second, and most runs have no alert

        sender = apprise.Apprise()
        sender.add(self.url)
        return bool(sender.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT))


def apprise_channels(urls: Sequence[str]) -> list[Channel]:
    """A channel for each URL, named by its scheme and place (``slack-1``); ``file:///path`` becomes a plain file.

    Raises:
        ReconciliationError: a URL is none that is understood; named by its place, never repeated.
    """
    channels: list[Channel] = []
    counted: Counter[str] = Counter()
    for place, url in enumerate(urls, start=1):
        scheme = url.partition(":")[0].lower()
        counted[scheme] += 1
        name = f"{scheme[:_SCHEME_LENGTH_MAX]}-{counted[scheme]}"
        if scheme == "file":
            channels.append(FileChannel(_path_of(url, place), name=name))
        elif _understood(url):
            channels.append(AppriseChannel(name=name, url=url))
        else:
            raise _not_understood(place)
    return channels


def _understood(url: str) -> bool:
    import apprise  # noqa: PLC0415 - see AppriseChannel.send

    parsed: Any = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    return parsed is not None


def _path_of(url: str, place: int) -> Path:
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or parts.query or parts.fragment:
        raise _not_understood(place)
    return path


def _not_understood(place: int) -> ReconciliationError:
    return ReconciliationError(
        f"alert URL {place}: expected a URL that Apprise knows, or file:///absolute/path; found another text "
        "(not repeated here, as it may hold a password). Mend it in TIEOUT_ALERT_URLS."
    )
