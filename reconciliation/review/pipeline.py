"""From a request to an answer: same site, session, visitor, form, deed, transaction, handler, commit.

Law: nothing a handler did stays unless its answer was made whole; the session is looked up in the handler's own
transaction; a deadlock is tried again from the start, three times at most.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
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
_NOTHING_SENT: Final[Fields] = (ImmutableMultiDict(), {})


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request for a page, read; ``found`` holds who asks as soon as that is known, for the frame of an error page."""

    page: Page
    config: ReviewConfig
    request: Request
    token: str
    form: ImmutableMultiDict[str, str]
    uploads: Mapping[str, Upload]
    found: list[Visitor] = field(default_factory=list)


async def answer(page: Page, config: ReviewConfig, request: Request) -> Response:
    """The answer of a page to a request, or the page of its error."""
    token = request.cookies.get(session_cookie(config.base_url), "")
    form, uploads = _NOTHING_SENT
    try:
        if request.method == "POST":
            if not is_same_origin(request.headers):
                return error_page(request, config, _OTHER_SITE)
            form, uploads = await _fields(request) if page.reads_form else _NOTHING_SENT
    except HTTPException as error:
        return error_page(request, config, Refusal(status=400, title="Not a form", said=str(error.detail)))
    except BadInput as error:
        return error_page(request, config, refusal_of(error))
    return await run_in_threadpool(_act, _Asked(page, config, request, token, form, uploads))


def error_page(
    request: Request, config: ReviewConfig, refusal: Refusal, *, who: Visitor | None = None, token: str = ""
) -> Response:
    """The page, or the part of one for htmx, that says what went wrong."""
    is_part = request.headers.get("hx-request") == "true"
    values = base_context(request, config, who, token) | {"refusal": refusal}
    return HTMLResponse(render("error_part.html" if is_part else "error.html", values), refusal.status)


def _act(asked: _Asked) -> Response:
    for attempt in range(ATTEMPTS):
        asked.found.clear()
        try:
            return _in_transaction(asked)
        except NoSession as error:
            return _to_the_login(asked.request, asked.config, error)
        except Exception as error:
            if may_be_tried_again(error) and attempt + 1 < ATTEMPTS:
                continue
            refusal = refusal_of(error)
            if refusal is OURS:
                LOGGER.exception("page %s failed", asked.page.path)
            who = asked.found[0] if asked.found else None
            return error_page(asked.request, asked.config, refusal, who=who, token=asked.token if who else "")
    raise AssertionError("the last attempt returns")


def _in_transaction(asked: _Asked) -> Response:
    page, config, request = asked.page, asked.config, asked.request
    with config.pool.connection(timeout=POOL_WAIT_SECONDS) as connection, connection.transaction():
        if page.steady:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute(_SETTINGS, (page.database_role, f"{page.seconds}s"))
        who = enter(connection, asked.token) if asked.token else None
        if who is not None and config.identity == "proxy" and believed_login(config, request) != who.login:
            who = None  # the proxy speaks of somebody else by now
        asked.found.extend([who] if who is not None else [])
        if page.deed != ANYONE:
            _refuse_who_may_not(asked, who)
        visit = Visit(
            request=request,
            config=config,
            connection=connection,
            who=who,
            now=config.now(),
            token=asked.token if who is not None else "",
            form=asked.form,
            uploads=asked.uploads,
        )
        if who is not None:
            touch(connection)
        return page.handler(visit)


def _refuse_who_may_not(asked: _Asked, who: Visitor | None) -> None:
    if who is None:
        raise NoSession("your session is over, or you have not logged in")
    if asked.request.method == "POST" and not csrf_fits(asked.token, asked.form.get("csrf", "")):
        raise NotAllowed(_OTHER_SITE.said)
    if not permits(who.roles, asked.page.deed):
        may = " or ".join(roles_that_may(asked.page.deed))
        raise NotAllowed(f"{who.name} ({', '.join(who.roles)}) may not do this; it takes {may}")


def _to_the_login(request: Request, config: ReviewConfig, error: NoSession) -> Response:
    if request.headers.get("hx-request") == "true":
        return Response(status_code=401, headers={"HX-Redirect": "/login"})
    if request.method == "POST":
        return error_page(request, config, refusal_of(error))
    query = request.url.query
    return RedirectResponse(login_address(request.url.path + (f"?{query}" if query else "")), 303)


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
