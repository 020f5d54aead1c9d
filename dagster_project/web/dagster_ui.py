"""Dagster's webserver from its own library, on a unix socket that only this user may open: the guard is the way in.

Law: a request that does not say that it may operate, in a header that the guard alone sets, is served as read-only, as
Dagster's own `--read-only` does for all: the UI greys out what would fail, and mutations are refused by Dagster too.
Nothing listens on the network.

    python -m dagster_project.web.dagster_ui --socket dagster/ui.sock --workspace workspace.yaml
"""

import os
import socket
from pathlib import Path
from typing import Final

import click
import dagster as dg
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._utils.log import configure_loggers
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__
from starlette.requests import HTTPConnection

from dagster_project.web.guard_proxy import FRAME_BYTES_MAX, MAY_OPERATE_HEADER

SOCKET_PATH_BYTES_MAX: Final = 107  # of the kernel; a relative path is as good as a long one
POLL_MILLISECONDS: Final = 2_000  # Dagster's own default for what the UI looks at again and again
# Dagster's own defaults for statements and connections of a webserver.
STATEMENT_MILLISECONDS, RECYCLE_SECONDS, OVERFLOW_CONNECTIONS = 15_000, 3_600, 20


class GuardedContext(WorkspaceProcessContext):
    """The webserver's workspace: read-only for every request but those that may operate."""

    def create_request_context(self, source: object | None = None) -> WorkspaceRequestContext:
        """What one request sees and may do."""
        may = isinstance(source, HTTPConnection) and source.headers.get(MAY_OPERATE_HEADER) == "yes"
        context = super().create_request_context(source)
        context._read_only = not may  # its constructor's parameter, which the parent does not pass on
        return context


def private_socket(path: Path) -> socket.socket:
    """A socket bound to a path, where none but its owner may connect from the first moment on."""
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise click.BadParameter(
            f"{path}: expected at most {SOCKET_PATH_BYTES_MAX} bytes; give a relative path"
        )
    path.unlink(missing_ok=True)  # of one that was killed
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        bound.bind(str(path))
    finally:
        os.umask(before)
    return bound


@click.command()
@click.option("--socket", "path", required=True, type=click.Path(path_type=Path), help="Where to listen.")
@click.option(
    "--workspace",
    required=True,
    type=click.Path(exists=True, dir_okay=False),
    help="Where the definitions are.",
)
def main(path: Path, workspace: str) -> None:
    """Serve Dagster's UI on a private socket until told to stop."""
    configure_loggers(log_level="WARNING")
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(STATEMENT_MILLISECONDS, RECYCLE_SECONDS, OVERFLOW_CONNECTIONS)
        target = WorkspaceFileTarget(paths=[workspace])
        with GuardedContext(
            instance, target, version=__version__, code_server_log_level="WARNING"
        ) as context:
            app = create_app_from_workspace_process_context(context, "", POLL_MILLISECONDS)
            config = uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                ws="websockets-sansio",
                ws_max_size=FRAME_BYTES_MAX,
                timeout_graceful_shutdown=1,  # an open websocket would hold it up
            )
            uvicorn.Server(config).run(sockets=[private_socket(path)])


if __name__ == "__main__":
    main()
