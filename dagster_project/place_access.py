"""How to get into a place: its options from the file of places, the filesystem behind its URL, and what went wrong.

Law: a secret stands in one file that others may not read, and nowhere else: not in the sources file, a message, a
`repr`, a log or an alert. What a library says of a failure is not repeated, since it may quote what it was given.
"""

import contextlib
import socket
import stat
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import yaml
from fsspec import available_protocols
from fsspec.core import url_to_fs

from dagster_project.errors import PlaceError, SettingsError
from reconciliation.sources import Sources

LOCAL: Final = ("file", "local")
SFTP: Final = ("sftp", "ssh")
FOLDERS_ARE_REAL: Final = frozenset({*LOCAL, *SFTP, "ftp", "smb"})
"""Protocols of places where an empty folder is there; in an object store it is not."""
GET_IN: Final = "get in"
_OTHERS: Final = stat.S_IRWXO | stat.S_IWGRP

Options = Mapping[str, Any]
Answer = TypeVar("Answer")


def read_places(path: Path | None) -> dict[str, Options]:
    """The storage options by the beginning of the places they are for; none without a file.

    Raises:
        SettingsError: the file cannot be read, others may read it, or it is no map of places to options.
    """
    if path is None:
        return {}
    try:
        mode = path.stat().st_mode
        if mode & _OTHERS:
            raise SettingsError(
                f"TIEOUT_PLACES_FILE, {path}: expected a file that its owner alone may change and others may not read, "
                f"found mode {stat.S_IMODE(mode):04o}; chmod 600 it."
            )
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise SettingsError(
            f"TIEOUT_PLACES_FILE, {where}: expected readable YAML, found {type(error).__name__} (its text is not "
            "repeated, as it may hold a password)."
        ) from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise _wrong_places(path, "a map of places to options", "something else")
    for number, (place, options) in enumerate(raw.items(), start=1):
        if not isinstance(place, str) or "://" not in place or "@" in place:
            raise _wrong_places(
                path, f"place {number} as a URL without a user, such as sftp://bank.example", "another"
            )
        if not isinstance(options, dict) or not all(isinstance(name, str) for name in options):
            raise _wrong_places(path, f"place {number} with a map of options below it", "something else")
    return raw


def _wrong_places(path: Path, expected: str, found: str) -> SettingsError:
    return SettingsError(
        f"TIEOUT_PLACES_FILE, {path}: expected {expected}, found {found} (not repeated here)."
    )


def options_of(place: str, places: Mapping[str, Options]) -> Options:
    """The options of the longest beginning of a place, whole host and whole folders; none if none is its beginning."""
    bare = without_user(place)
    found = [known for known in places if bare == known or bare.startswith(f"{known.rstrip('/')}/")]
    return places[max(found, key=len)] if found else {}


def without_user(place: str) -> str:
    """A place as it is told to people."""
    scheme, separator, rest = place.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}" if separator else place


def protocol_of(place: str) -> str:
    """How a place is spoken to; a folder is a file system, too."""
    return place.partition("://")[0] if "://" in place else LOCAL[0]


def check_places(sources: Sources, path: Path | None, *, landing: Path) -> None:
    """See that the file of places can be used, that every place has a protocol that is known, and that none is the
    landing folder, where files that were fetched would be fetched again.

    Raises:
        SettingsError: it is not so.
    """
    read_places(path)
    for source in sources.sources:
        place = source.files.place
        if place is not None and protocol_of(place) not in available_protocols():
            raise SettingsError(
                f"source {source.id}, files.place: expected a folder or a URL that fsspec knows (sftp://, s3://, "
                f"file://, …), found {protocol_of(place)}://"
            )
        if place is not None and _is_below(place, landing):
            raise SettingsError(
                f"source {source.id}, files.place: expected another place than the landing folder {landing}, found "
                "one in it; leave it out, since what lies there is taken in as it is"
            )


def _is_below(place: str, landing: Path) -> bool:
    local = protocol_of(place) in LOCAL
    return local and Path(place.partition("://")[2] or place).resolve().is_relative_to(landing.resolve())


def opened(place: str, options: Options) -> Any:
    """The filesystem of a place, its own and not shared with anybody."""
    if protocol_of(place) in SFTP:
        from dagster_project.sftp_place import SftpPlace  # noqa: PLC0415 - paramiko is an extra

        parts = urlsplit(place)
        told: dict[str, Any] = {"username": parts.username, "port": parts.port}
        told = {name: value for name, value in told.items() if value is not None} | dict(options)
        told.pop("skip_instance_cache", None)
        return SftpPlace(told.pop("host", parts.hostname), skip_instance_cache=True, **told)
    return url_to_fs(place, **{**options, "skip_instance_cache": True})[0]


def closed(filesystem: Any) -> None:
    """Hang up, where there is something to hang up."""
    with contextlib.suppress(Exception):  # what cannot be closed is gone already
        getattr(filesystem, "close", lambda: None)()


def within(seconds: float, work: Callable[[], Answer]) -> Answer:
    """What ``work`` gives; it is left to itself when it takes longer.

    Raises:
        TimeoutError: it did. Else whatever it raises.
    """
    answers: list[Answer] = []
    failures: list[BaseException] = []

    def do() -> None:
        try:
            answers.append(work())
        except BaseException as failure:  # noqa: BLE001 - raised again, by who waits for it
            failures.append(failure)

    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    thread.join(seconds)
    if failures:
        raise failures[0]
    if not answers:
        raise TimeoutError
    return answers[0]


def problem_of(source_id: str, place: str, doing: str, failure: Exception) -> PlaceError:
    """The sentence of a failure, which repeats nothing but what is told of the place in the sources file."""
    found, remedy = _found(failure, getting_in=doing == GET_IN)
    return PlaceError(
        f"source {source_id}, files.place {without_user(place)}: expected to {doing}, found {found}; {remedy}. "
        "What has landed here is taken in all the same."
    )


def _found(failure: Exception, *, getting_in: bool) -> tuple[str, str]:
    name = type(failure).__name__
    if name == "UnknownHostKey":
        found, expected = getattr(failure, "found", ""), getattr(failure, "expected", ())
        if not expected:
            return (
                f"no host_key to know the server by (it shows {found})",
                "compare that with what its owner tells you, then write it into TIEOUT_PLACES_FILE",
            )
        return (
            f"a server with the key {found} instead of {' or '.join(expected)}",
            "nothing was sent to it; ask its owner whether the key has changed",
        )
    if isinstance(failure, ImportError):
        return (
            "that the package which speaks to it is not installed",
            "install it (tieout[sftp], tieout[s3], …)",
        )
    if "Auth" in name or name in ("PasswordRequiredException", "NoCredentialsError"):
        return "that the server lets us in with none of what it was given", "mend it in TIEOUT_PLACES_FILE"
    if isinstance(failure, FileNotFoundError) and getting_in:
        return "no such file as its options name", "mend key_filename, or what else it is, in TIEOUT_PLACES_FILE"
    if isinstance(failure, FileNotFoundError):
        return "nothing of that name", "mend the place in the sources file, or have it made"
    if isinstance(failure, PermissionError):
        return "that we may not", "ask its owner for the right to list and read"
    if isinstance(failure, TimeoutError):
        return "no answer in time", "it is tried again; see whether the server is up"
    if isinstance(failure, socket.gaierror):
        return "no host of that name", "mend the place in the sources file, or the name service"
    if isinstance(failure, ConnectionError) or name == "NoValidConnectionsError":
        return "nobody who answers there", "it is tried again; see whether the server is up"
    return (
        f"a failure of the kind {name}",
        "it is tried again; see whether the server and its options are right",
    )
