"""The app: all pages in one table, each one wrapped by the pipeline, and the files of the browser.

Law: the routes are made from the table alone, so that a test can go through every one of them; a page that needs nobody
is one of those named here.
"""

from collections.abc import Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reconciliation.review import (
    bulk_pages,
    dashboard_pages,
    detail_pages,
    export_pages,
    feedback_pages,
    list_pages,
    match_pages,
    people_pages,
    proposal_pages,
    sessions_pages,
    sign_off_pages,
    statement_pages,
)
from reconciliation.review.pipeline import answer, error_page
from reconciliation.review.refusals import Refusal
from reconciliation.review.rendering import static_file
from reconciliation.review.security import Doorway
from reconciliation.review.web import ANYONE, Page, ReviewConfig

# Each module of pages adds its own here.
PAGES: Final[tuple[Page, ...]] = (
    *sessions_pages.PAGES,
    *list_pages.PAGES,  # before the details: /exceptions/count is no exception
    *dashboard_pages.PAGES,
    *statement_pages.PAGES,
    *sign_off_pages.PAGES,
    *export_pages.PAGES,
    *feedback_pages.PAGES,
    *people_pages.PAGES,
    *detail_pages.PAGES,
    *proposal_pages.PAGES,
    *match_pages.PAGES,
    *bulk_pages.PAGES,
)

WITHOUT_SESSION: Final = frozenset({"/login", "/login/back"})
"""Where somebody may be who has not come in yet, beside the files of the browser."""

_TITLES: Final = {404: "Not found", 405: "Not that way", 413: "Too large"}


def create_app(config: ReviewConfig, pages: Sequence[Page] = PAGES) -> Starlette:
    """The app for a configuration."""
    open_to_all = sorted({page.path for page in pages if page.deed == ANYONE} - WITHOUT_SESSION)
    if open_to_all:
        raise ValueError(
            f"pages without a session: expected none but the login, found {', '.join(open_to_all)}"
        )
    routes = [_route(page, config) for page in pages]

    async def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        title = _TITLES.get(status, "Cannot be done")
        response = error_page(
            request,
            config,
            Refusal(status=status, title=title, said=f"There is no page {request.url.path[:200]} for this."),
        )
        response.headers.update(getattr(error, "headers", None) or {})
        return response

    return Starlette(
        routes=[*routes, Route("/static/{name}", _static, methods=["GET"])],
        exception_handlers={HTTPException: refused},
        middleware=[Middleware(Doorway, base_url=config.base_url, also=config.allowed_hosts)],
    )


def _route(page: Page, config: ReviewConfig) -> Route:
    async def endpoint(request: Request) -> Response:
        return await answer(page, config, request)

    return Route(page.path, endpoint, methods=list(page.methods))


async def _static(request: Request) -> Response:
    found = static_file(request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    content, media_type, short_hash = found
    named = request.query_params.get("v") == short_hash
    caching = "public, max-age=31536000, immutable" if named else "no-cache"
    headers = {"Cache-Control": caching, "ETag": f'"{short_hash}"', "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
