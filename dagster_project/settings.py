"""Every setting of the environment, read in one place, once.

| variable | meaning | when unset |
|---|---|---|
| `TIEOUT_HOME` | the project's folder | the current folder |
| `TIEOUT_DATABASE_URL` | a PostgreSQL server of your own, 15 or newer | the embedded server |
| `TIEOUT_DAGSTER_DATABASE_URL` | Dagster's own database | database `dagster` on the same server |
| `TIEOUT_CARD_KEY` | keys of the card tokens, 64 or more hex digits each, spaces between, newest last | see the next |
| `TIEOUT_CARD_KEY_FILE` | a file that holds them, one a line, newest last | `.tieout/card.key`, made once, mode 0600 |
| `TIEOUT_SOURCES` | the sources file | `.tieout/sources.yaml`, else `sources.yaml` in the home |
| `TIEOUT_LANDING` | the folder where deliveries arrive | `.tieout/landing` |
| `TIEOUT_PLACES_FILE` | what is needed to get into the places of the sources, YAML: place -> `fsspec` options | none |
| `TIEOUT_STORE` | where the bytes of deliveries are kept: a folder, or a URL `fsspec` knows | `.tieout/deliveries` |
| `TIEOUT_ALERT_URLS` | where alerts go, Apprise URLs, white space between | alerts go to a file alone |
| `TIEOUT_KAFKA_SERVERS` | Kafka brokers that the ledger's feed goes to, `host:port`, commas between | it goes nowhere |
| `TIEOUT_KAFKA_TOPIC` | the topic there | `tieout.journal` |
| `TIEOUT_KAFKA_FILE` | other settings of the Kafka client, passwords too, as lines `name=value` | none |
| `TIEOUT_REVIEW_URL` | where people reach the review app; https unless on this machine | `http://127.0.0.1:8600` |
| `TIEOUT_DAGSTER_URL` | where people reach Dagster's UI, by the same host | `http://127.0.0.1:3000` |
| `TIEOUT_IDENTITY` | who says who somebody is: `password`, `proxy` or `oidc` | `password` |
| `TIEOUT_PROXY_HEADER` | with `proxy`: the header in which the proxy names the login | none |
| `TIEOUT_PROXY_SECRET_FILE` | with `proxy`: a file with what it sends as `X-Tieout-Proxy-Secret` | none |
| `TIEOUT_OIDC_ISSUER` | with `oidc`: the provider's issuer URL | none |
| `TIEOUT_OIDC_CLIENT_ID` | with `oidc`: our name there | none |
| `TIEOUT_OIDC_SECRET_FILE` | with `oidc`: a file with our secret there | none: a public client |
| `TIEOUT_OIDC_ROLES` | with `oidc`: the claim that holds people's roles | none: people must be known here |

A variable that begins with `TIEOUT_` and is none of these is refused: a mistyped name must not silently mean the
default. Secrets never appear in `repr`, and the card key never enters the database. Nothing is read from the
environment later.
"""

import binascii
import contextlib
import difflib
import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dagster_project.errors import SettingsError

STATE_FOLDER = ".tieout"
CARD_KEY_BYTES = 32
KNOWN = (
    "TIEOUT_HOME",
    "TIEOUT_DATABASE_URL",
    "TIEOUT_DAGSTER_DATABASE_URL",
    "TIEOUT_CARD_KEY",
    "TIEOUT_CARD_KEY_FILE",
    "TIEOUT_SOURCES",
    "TIEOUT_LANDING",
    "TIEOUT_PLACES_FILE",
    "TIEOUT_STORE",
    "TIEOUT_ALERT_URLS",
    "TIEOUT_KAFKA_SERVERS",
    "TIEOUT_KAFKA_TOPIC",
    "TIEOUT_KAFKA_FILE",
    "TIEOUT_REVIEW_URL",
    "TIEOUT_DAGSTER_URL",
    "TIEOUT_IDENTITY",
    "TIEOUT_PROXY_HEADER",
    "TIEOUT_PROXY_SECRET_FILE",
    "TIEOUT_OIDC_ISSUER",
    "TIEOUT_OIDC_CLIENT_ID",
    "TIEOUT_OIDC_SECRET_FILE",
    "TIEOUT_OIDC_ROLES",
)
FOR_TESTS = ("TIEOUT_CORPORA", "TIEOUT_TEST_DATABASE_URL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says. All paths are absolute."""

    home: Path
    sources: Path
    landing: Path
    store: str = field(repr=False)  # a URL may hold a secret
    card_key_file: Path
    database_url: str | None = field(default=None, repr=False)
    dagster_database_url: str | None = field(default=None, repr=False)
    alert_urls: tuple[str, ...] = field(default=(), repr=False)
    given_card_keys: tuple[bytes, ...] = field(default=(), repr=False)
    kafka_servers: str | None = None
    kafka_topic: str = "tieout.journal"
    kafka_file: Path | None = None
    places_file: Path | None = None
    review_url: str | None = None
    dagster_url: str | None = None
    identity: str = "password"
    proxy_header: str | None = None
    proxy_secret_file: Path | None = None
    oidc_issuer: str | None = None
    oidc_client_id: str | None = None
    oidc_secret_file: Path | None = None
    oidc_roles: str | None = None

    @property
    def state(self) -> Path:
        """The product's own folder below the home."""
        return self.home / STATE_FOLDER

    def card_keys(self) -> tuple[bytes, ...]:
        """Keys of the card tokens, newest first: it makes the tokens, by the others old ones are recognised.

        One is made and kept at the first call when none was ever given. Losing a key breaks the link between old and
        new tokens of the same card, so none is ever replaced: ``rotated_card_keys`` adds one.
        """
        if self.given_card_keys:
            return self.given_card_keys
        if not self.card_key_file.exists():
            _create_card_key(self.card_key_file)
        return _parsed_card_keys(_read(self.card_key_file), str(self.card_key_file))

    def rotated_card_keys(self) -> tuple[bytes, ...]:
        """Add a new key to the file, keeping the old ones; gives all of them, newest first.

        The file is replaced in one step, on disk before anything uses the key; of two rotations at once, both stay.
        """
        if self.given_card_keys:
            raise SettingsError(
                "TIEOUT_CARD_KEY: expected the card keys in a file, found them in the environment; "
                f"put a new one after the others there (openssl rand -hex {CARD_KEY_BYTES}), or use a file."
            )
        self.card_keys()
        path = self.card_key_file.resolve()  # a link stays a link
        try:
            with _locked(path.parent):
                kept = _read(path)
                _parsed_card_keys(kept, str(path))
                text = f"{kept.rstrip()}\n{secrets.token_hex(CARD_KEY_BYTES)}\n"
                draft = _written_aside(path, text, like=path)
                try:
                    draft.replace(path)
                finally:
                    draft.unlink(missing_ok=True)
                _to_disk(path.parent)
        except OSError as error:
            raise SettingsError(
                f"{path}: expected to add a card key there, found {error.strerror}; the old keys are as they were."
            ) from error
        return self.card_keys()


def read_settings(environment: Mapping[str, str], current_folder: Path) -> Settings:
    """The settings; an empty variable counts as unset. Reads no file, makes nothing.

    Raises `SettingsError` on an unknown `TIEOUT_` variable and on a value that cannot be used.
    """
    _refuse_unknown(environment)
    given = {name: environment[name].strip() for name in KNOWN if environment.get(name, "").strip()}
    home = (current_folder / Path(given.get("TIEOUT_HOME", ".")).expanduser()).resolve()
    state = home / STATE_FOLDER

    def path(name: str, default: Path) -> Path:
        return optional_path(name) or default

    def optional_path(name: str) -> Path | None:
        return (current_folder / Path(given[name]).expanduser()).absolute() if name in given else None

    if "TIEOUT_CARD_KEY" in given and "TIEOUT_CARD_KEY_FILE" in given:
        raise SettingsError(
            "environment: expected one of TIEOUT_CARD_KEY and TIEOUT_CARD_KEY_FILE, found both; unset one of them."
        )
    key = given.get("TIEOUT_CARD_KEY")
    own_sources = state / "sources.yaml"
    return Settings(
        home=home,
        sources=path(
            "TIEOUT_SOURCES", own_sources if own_sources.exists() else _home_sources(home, own_sources)
        ),
        landing=path("TIEOUT_LANDING", state / "landing"),
        store=_store(given.get("TIEOUT_STORE"), current_folder, state),
        card_key_file=path("TIEOUT_CARD_KEY_FILE", state / "card.key"),
        database_url=given.get("TIEOUT_DATABASE_URL"),
        dagster_database_url=given.get("TIEOUT_DAGSTER_DATABASE_URL"),
        alert_urls=tuple(given.get("TIEOUT_ALERT_URLS", "").split()),
        given_card_keys=_parsed_card_keys(key, "TIEOUT_CARD_KEY") if key else (),
        kafka_servers=given.get("TIEOUT_KAFKA_SERVERS"),
        kafka_topic=given.get("TIEOUT_KAFKA_TOPIC", "tieout.journal"),
        kafka_file=optional_path("TIEOUT_KAFKA_FILE"),
        places_file=optional_path("TIEOUT_PLACES_FILE"),
        review_url=given.get("TIEOUT_REVIEW_URL"),
        dagster_url=given.get("TIEOUT_DAGSTER_URL"),
        identity=given.get("TIEOUT_IDENTITY", "password"),
        proxy_header=given.get("TIEOUT_PROXY_HEADER"),
        proxy_secret_file=optional_path("TIEOUT_PROXY_SECRET_FILE"),
        oidc_issuer=given.get("TIEOUT_OIDC_ISSUER"),
        oidc_client_id=given.get("TIEOUT_OIDC_CLIENT_ID"),
        oidc_secret_file=optional_path("TIEOUT_OIDC_SECRET_FILE"),
        oidc_roles=given.get("TIEOUT_OIDC_ROLES"),
    )


def _store(given: str | None, current_folder: Path, state: Path) -> str:
    """A URL as it is, a folder as an absolute path."""
    if given is None:
        return str(state / "deliveries")
    return given if "://" in given else str((current_folder / Path(given).expanduser()).absolute())


def _home_sources(home: Path, own_sources: Path) -> Path:
    visible = home / "sources.yaml"
    return visible if visible.exists() else own_sources


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    for name in sorted(environment):
        if name.startswith("TIEOUT_") and name not in KNOWN and name not in FOR_TESTS:
            near = difflib.get_close_matches(name, KNOWN, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"known are {', '.join(KNOWN)}."
            raise SettingsError(f"environment: expected a known setting, found {name}; {remedy}")


def _parsed_card_keys(text: str, place: str) -> tuple[bytes, ...]:
    """The keys, newest first (it stands last); no message ever shows what was given."""
    keys: list[bytes] = []
    for word in text.split() or [""]:
        try:
            key = binascii.unhexlify(word)
        except ValueError:
            key = b""
        if len(key) < CARD_KEY_BYTES:
            raise SettingsError(
                f"{place}: expected a key of at least {2 * CARD_KEY_BYTES} hex digits, found something else or a "
                f"shorter one; make one with: openssl rand -hex {CARD_KEY_BYTES}"
            )
        keys.append(key)
    return tuple(dict.fromkeys(reversed(keys)))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: expected the card keys, found no readable text") from error


def _create_card_key(path: Path) -> None:
    """Written aside and linked into place: of two processes that come at once, one key wins for both."""
    draft: Path | None = None
    try:
        path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        draft = _written_aside(path, secrets.token_hex(CARD_KEY_BYTES) + "\n")
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        _to_disk(path.parent)
    except OSError as error:
        raise SettingsError(
            f"{path}: expected to keep the card key there, found {error.strerror}; "
            f"set TIEOUT_CARD_KEY_FILE to a file that you may write."
        ) from error
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def _written_aside(path: Path, text: str, *, like: Path | None = None) -> Path:
    """A file beside ``path``, on disk and for its owner alone, who is the owner of ``like`` where one is given."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if like is not None and os.geteuid() == 0:
                owner = like.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.fsync(file.fileno())
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return draft


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process, however it ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
