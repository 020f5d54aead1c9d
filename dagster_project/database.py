"""Where the data lives: one PostgreSQL server, the embedded one or the user's own, and how to enter it.

Law: a server that could lose what it has confirmed (`fsync` or `full_page_writes` off) holds no ledger. Every piece of
work is one transaction under one role; the login itself is a member of all roles and is used bare for migrations only.
Holds no SQL of the ledger or of the reconciliation.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dagster_project.embedded_postgres import EmbeddedPostgres
from dagster_project.errors import ServerError, SettingsError
from dagster_project.settings import Settings

OLDEST_VERSION = 15
CONNECT_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A server that was reached and found fit. `url` is libpq's form and may hold a password."""

    url: str = field(repr=False)
    dagster_libpq_url: str = field(repr=False)
    embedded: EmbeddedPostgres | None = None
    started_here: bool = False

    @property
    def sqlalchemy_url(self) -> str:
        """For Alembic: names psycopg 3."""
        return alchemy_url(self.url, "postgresql+psycopg")

    @property
    def dagster_url(self) -> str:
        """For Dagster's storage: names psycopg2, without which dagster-postgres fails under SQLAlchemy 2.1."""
        return alchemy_url(self.dagster_libpq_url, "postgresql+psycopg2")

    def migrate(self) -> None:
        """Both schemas are at their newest revision and Dagster's database exists. Safe to repeat."""
        migrate(self.sqlalchemy_url)
        _create_dagster_database(self.dagster_libpq_url, self.url)

    @contextlib.contextmanager
    def session(
        self, role: str | None, *, lock_timeout_seconds: int = 30, statement_timeout_seconds: int = 900
    ) -> Iterator[psycopg.Connection]:
        """A connection inside one transaction under the role: committed at the end, rolled back by any error.

        `commit` inside is refused by psycopg, so the role cannot fall away half-way.
        """
        with contextlib.closing(connect(self.url)) as connection, connection.transaction():
            if role is not None:
                connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
            connection.execute(
                """
                SELECT pg_catalog.set_config('lock_timeout', %s, true),
                       pg_catalog.set_config('statement_timeout', %s, true),
                       pg_catalog.set_config('TimeZone', 'UTC', true)
                """,
                (f"{lock_timeout_seconds}s", f"{statement_timeout_seconds}s"),
            )
            yield connection


def reach(settings: Settings) -> Database:
    """The database the settings name, started when it is the embedded one.

    Raises `ServerError` when it cannot be reached, is too old, or could lose confirmed data.
    """
    if settings.database_url is not None:
        url = libpq_url(settings.database_url, "TIEOUT_DATABASE_URL")
        dagster = settings.dagster_database_url or make_conninfo(url, dbname="dagster")
        database = Database(url=url, dagster_libpq_url=libpq_url(dagster, "TIEOUT_DAGSTER_DATABASE_URL"))
    else:
        server = EmbeddedPostgres(settings.home)
        started_here = server.start()
        dagster = settings.dagster_database_url or server.url("dagster")
        database = Database(
            url=server.url("tieout"),
            dagster_libpq_url=libpq_url(dagster, "TIEOUT_DAGSTER_DATABASE_URL"),
            embedded=server,
            started_here=started_here,
        )
    with contextlib.closing(connect(database.url)) as connection:
        _refuse_unfit(connection)
    return database


def migrate(url: str) -> None:
    """Both schemas of one database are at their newest revision. Takes libpq's form of a URL, or SQLAlchemy's."""
    # Alembic and SQLAlchemy are 20 MB that nothing but this needs.
    from ledger_core.migrate import upgrade as upgrade_ledger  # noqa: PLC0415
    from reconciliation.migrate import upgrade as upgrade_reconciliation  # noqa: PLC0415

    upgrade_ledger(url)
    upgrade_reconciliation(url)  # its windows read the ledger's views


def connect(url: str) -> psycopg.Connection:
    """A connection in autocommit that says who it is."""
    try:
        return psycopg.connect(
            url, autocommit=True, connect_timeout=CONNECT_SECONDS, application_name="tieout"
        )
    except psycopg.OperationalError as error:
        raise ServerError(
            f"{_place(url)}: expected a PostgreSQL server, found: {str(error).strip()} "
            f"Start the server, or mend TIEOUT_DATABASE_URL."
        ) from error


def libpq_url(text: str, name: str) -> str:
    """The libpq form of a URL or of `key=value` words, whichever driver it names."""
    scheme, separator, rest = text.partition("://")
    if separator and scheme.split("+")[0] in ("postgresql", "postgres"):
        text = f"postgresql://{rest}"
    try:
        conninfo_to_dict(text)
    except psycopg.ProgrammingError as error:
        # The driver's own words repeat what was given, password and all.
        raise SettingsError(
            f"{name}: expected postgresql://user@host/database or host=… dbname=…, found something else."
        ) from error
    return text


def alchemy_url(url: str, driver: str) -> str:
    """The same place in SQLAlchemy's form. Host and port stand in the query, where a socket folder is understood."""
    parts = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    from sqlalchemy import URL  # noqa: PLC0415 - see ``migrate``

    return URL.create(
        driver,
        username=parts.pop("user", None),
        password=parts.pop("password", None),
        database=parts.pop("dbname", None),
        query=parts,
    ).render_as_string(hide_password=False)


def _place(url: str) -> str:
    """Where a URL leads, without its password."""
    parts = conninfo_to_dict(url)
    return " ".join(f"{name}={parts[name]}" for name in ("host", "port", "user", "dbname") if parts.get(name))


def _refuse_unfit(connection: psycopg.Connection) -> None:
    version = connection.info.server_version // 10_000
    if version < OLDEST_VERSION:
        raise ServerError(
            f"{_place(connection.info.dsn)}: expected PostgreSQL {OLDEST_VERSION} or newer, found {version}; "
            f"upgrade it, or unset TIEOUT_DATABASE_URL to use the embedded server."
        )
    for name in ("fsync", "full_page_writes"):
        row = connection.execute("SELECT pg_catalog.current_setting(%s)", (name,)).fetchone()
        value = row[0] if row else "nothing"
        if value != "on":
            raise ServerError(
                f"{_place(connection.info.dsn)}: expected {name} = on, found {value}: a crash could lose posted "
                f"entries. As superuser: ALTER SYSTEM RESET {name}; SELECT pg_reload_conf();"
            )


def _create_dagster_database(dagster_url: str, url: str) -> None:
    """Dagster's database is there; made through the main database where the login may."""
    try:
        psycopg.connect(dagster_url, connect_timeout=CONNECT_SECONDS).close()
    except psycopg.OperationalError as absent:
        name = str(conninfo_to_dict(dagster_url)["dbname"])
        with contextlib.closing(connect(url)) as connection:
            try:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            except psycopg.errors.DuplicateDatabase:
                raise ServerError(
                    f"{_place(dagster_url)}: expected Dagster's database, found: {absent}"
                ) from absent
            except psycopg.Error as error:
                raise ServerError(
                    f"{_place(dagster_url)}: expected Dagster's database, found none, and it cannot be made: "
                    f"{str(error).strip()}. Make it, or set TIEOUT_DAGSTER_DATABASE_URL."
                ) from error
