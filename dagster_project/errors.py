"""Failures that the shell can put in a sentence: where, what was expected, what was found, what to do.

The command line prints the message and leaves with exit code 2; it never shows a traceback for these.
"""


class ShellError(Exception):
    """Root of everything the shell refuses on purpose."""


class SettingsError(ShellError):
    """The environment or a settings file says something that cannot be used."""


class ServerError(ShellError):
    """A PostgreSQL server cannot be started, stopped or reached, or is not fit to hold a ledger."""


class ServiceError(ShellError):
    """A process of `tieout up` cannot be started, or ended by itself."""


class PlaceError(ShellError):
    """A place that files are fetched from cannot be reached or read, or holds what may not be fetched."""


class BrokerError(ShellError):
    """A Kafka broker did not take what was sent, or cannot be reached."""
