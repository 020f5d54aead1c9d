"""From a request to an answer: same site, session, visitor, form, deed, transaction, handler, commit.

Law: nothing a handler did stays unless its answer was made whole; the session is looked up in the handler's own
transaction; a deadlock is tried again from the start, three times at most.
"""

import logging
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import ImmutableMultiDict, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from reconciliation.errors import NoSession, NotAllowed
from reconciliation.people.permissions import permits, roles_that_may
from reconciliation.people.sessions import Visitor, enter, touch
from reconciliation.review.identity import believed_login
from reconciliation.review.refusals import OURS, Refusal, may_be_tried_again, refusal_of
from reconciliation.review.rendering import render
from reconciliation.review.security import (
    BodyTooLarge,
    csrf_fits,
    is_same_origin,
    is_sound,
    session_cookie,
)
from reconciliation.review.web import ANYONE, BadInput, Page, ReviewConfig, Upload, Visit, base_context

LOGGER: Final = logging.getLogger(__name__)
ATTEMPTS: Final = 3
FORM_FIELDS_MAX: Final = 30_000  # a bulk of many thousand items by hand, each one a field
FORM_FILES_MAX: Final = 4
POOL_WAIT_SECONDS: Final = 10
_OTHER_SITE: Final = Refusal(
    status=403,
    title="Not from our own page",
    said="The request did not come from a page of this app in this session. Nothing was changed; go back, load the "
    "page again and repeat it.",
)
_SETTINGS: Final = """
SELECT pg_catalog.set_config('role', %s, true),
       pg_catalog.set_config('statement_timeout', %s, true),
       pg_catalog.set_config('lock_timeout', '5s', true),
       pg_catalog.set_config('TimeZone', 'UTC', true)
"""

Fields = tuple[ImmutableMultiDict[str, str], Mapping[str, Upload]]


async def answer(page: Page, config: ReviewConfig, request: Request) -> Response:
    """The answer of a page to a request, or the page of its error."""
    token = request.cookies.get(session_cookie(config.base_url), "")
    fields: Fields = (ImmutableMultiDict(), {})
    try:
        if request.method == "POST":
            if not is_same_origin(request.headers):
                return error_page(request, config, _OTHER_SITE)
            fields = await _fields(request) if page.reads_form else fields
    except HTTPException as error:
        return error_page(request, config, Refusal(status=400, title="Not a form", said=str(error.detail)))
    except BadInput as error:
        return error_page(request, config, refusal_of(error))
    return await run_in_threadpool(_act, page, config, request, token, fields)


def error_page(
    request: Request, config: ReviewConfig, refusal: Refusal, who: Visitor | None = None, token: str = ""
) -> Response:
    """The page, or the part of one for htmx, that says what went wrong."""
    is_part = request.headers.get("hx-request") == "true"
    values = base_context(request, config, who, token) | {"refusal": refusal}
    return HTMLResponse(render("error_part.html" if is_part else "error.html", values), refusal.status)


def _act(page: Page, config: ReviewConfig, request: Request, token: str, fields: Fields) -> Response:
    who: list[Visitor] = []  # whoever was found, for the frame of an error page
    for attempt in range(ATTEMPTS):
        try:
            return _in_transaction(page, config, request, token, fields, who)
        except NoSession as error:
            return _to_the_login(request, config, error)
        except Exception as error:
            if may_be_tried_again(error) and attempt + 1 < ATTEMPTS:
                continue
            refusal = refusal_of(error)
            if refusal is OURS:
                LOGGER.exception("page %s failed", page.path)
            return error_page(request, config, refusal, *who[:1], token=token if who else "")
    raise AssertionError("the last attempt returns")


def _in_transaction(
    page: Page, config: ReviewConfig, request: Request, token: str, fields: Fields, found: list[Visitor]
) -> Response:
    pool = config.pool.connection(timeout=POOL_WAIT_SECONDS)
    with pool as connection, connection.transaction():
        if page.steady:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute(_SETTINGS, (page.database_role, f"{page.seconds}s"))
        who = enter(connection, token) if token else None
        if who is not None and config.identity == "proxy" and believed_login(config, request) != who.login:
            who = None  # the proxy speaks of somebody else by now
        found[:] = [who] if who is not None else []
        if page.deed != ANYONE:
            _refuse_who_may_not(page, request, token, fields, who)
        visit = Visit(
            request=request,
            config=config,
            connection=connection,
            who=who,
            now=config.now(),
            token=token if who is not None else "",
            form=fields[0],
            uploads=fields[1],
        )
        if who is not None:
            touch(connection)
        return page.handler(visit)


def _refuse_who_may_not(
    page: Page, request: Request, token: str, fields: Fields, who: Visitor | None
) -> None:
    if who is None:
        raise NoSession("your session is over, or you have not logged in")
    if request.method == "POST" and not csrf_fits(token, fields[0].get("csrf", "")):
        raise NotAllowed(_OTHER_SITE.said)
    if not permits(who.roles, page.deed):
        raise NotAllowed(
            f"{who.name} ({', '.join(who.roles)}) may not do this; it takes {' or '.join(roles_that_may(page.deed))}"
        )


def _to_the_login(request: Request, config: ReviewConfig, error: NoSession) -> Response:
    address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.headers.get("hx-request") == "true":
        return Response(status_code=401, headers={"HX-Redirect": "/login"})
    if request.method == "POST":
        return error_page(request, config, refusal_of(error))
    return RedirectResponse(login_address(address), 303)


def login_address(wanted: str) -> str:
    """The login that leads back to a page."""
    return "/login" if wanted == "/" else f"/login?next={quote(wanted, safe='/')}"


async def _fields(request: Request) -> Fields:
    try:
        form = await request.form(max_files=FORM_FILES_MAX, max_fields=FORM_FIELDS_MAX)
    except BodyTooLarge:
        raise BadInput("the form is larger than 12 MB") from None
    texts: list[tuple[str, str]] = []
    uploads: dict[str, Upload] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            content = await value.read()
            if value.filename or content:
                uploads[name] = Upload(
                    file_name=value.filename or "",
                    media_type=value.content_type or "application/octet-stream",
                    content=content,
                )
        else:
            texts.append((name, value))
    await form.close()
    file_names = [upload.file_name + upload.media_type for upload in uploads.values()]
    if not all(map(is_sound, [part for pair in texts for part in pair] + [*uploads, *file_names])):
        raise BadInput("the form holds characters that are no text")
    return ImmutableMultiDict(texts), uploads
