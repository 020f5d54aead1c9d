"""Whom another party vouches for: the header of a trusted proxy.

Law: the header counts only where nobody but the proxy can send it: with the secret that only the proxy knows, or over a
unix socket. Without either it is as if it were not there.
"""

import hmac

from starlette.requests import Request

from reconciliation.review.web import ReviewConfig

SECRET_HEADER = "x-tieout-proxy-secret"


def believed_login(config: ReviewConfig, request: Request) -> str | None:
    """The login that the proxy names, if it is to be believed."""
    if config.identity != "proxy" or config.proxy_header is None or not _is_the_proxy(config, request):
        return None
    named = request.headers.getlist(config.proxy_header)
    return named[0].strip().lower() or None if len(named) == 1 else None


def _is_the_proxy(config: ReviewConfig, request: Request) -> bool:
    if config.proxy_secret:
        given = request.headers.get(SECRET_HEADER, "")
        return hmac.compare_digest(given.encode(), config.proxy_secret.encode())
    server = request.scope.get("server")
    return request.scope.get("client") is None and server is not None and server[1] is None
