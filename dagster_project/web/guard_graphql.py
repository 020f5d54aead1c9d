"""Whether a GraphQL request would change something, by the grammar. Pure.

Law: what cannot be read is refused, never guessed at: a document that does not parse, one with several meanings (a name
twice in one object), one without an operation, a frame of an unknown type. A document counts as a change when any of
its operations is a mutation, whichever the request names. Does not know Dagster's schema and says nothing of what a
query may see.

    asks_change("query { version }")                          False
    asks_change("query a { version } mutation b { go }")      True
    documents_of_body(b'[{"query": "{ version }"}]')          ("{ version }",)
"""

import functools
import json
from typing import Any, Final

from graphql import FragmentDefinitionNode, GraphQLError, OperationDefinitionNode, OperationType, parse

DOCUMENT_CHARACTERS_MAX: Final = 200_000  # the largest of the UI's own has 20,000
TOKENS_MAX: Final = 20_000
KEPT_CHARACTERS_MAX: Final = 32_000
KEPT_DOCUMENTS: Final = 256  # the UI asks the same few questions again and again
# Both protocols of subscriptions: graphql-ws, which Dagster speaks, and graphql-transport-ws.
_OPENING: Final = frozenset({"start", "subscribe"})
_OTHER: Final = frozenset({"connection_init", "connection_terminate", "stop", "complete", "ping", "pong"})


class UnreadableRequest(Exception):
    """A request in which the guard cannot see what it would do. The text says what was expected."""


def asks_change(document: str) -> bool:
    """Whether any operation of the document is a mutation.

    Raises:
        UnreadableRequest: it is too large, does not parse, or holds something other than operations and fragments.
    """
    if len(document) <= KEPT_CHARACTERS_MAX:
        return _kept_answer(document)
    if len(document) > DOCUMENT_CHARACTERS_MAX:
        raise UnreadableRequest(
            f"GraphQL: expected a document of at most {DOCUMENT_CHARACTERS_MAX} characters, found {len(document)}."
        )
    return _answer(document)


def documents_of_body(body: bytes) -> tuple[str, ...]:
    """The documents of a JSON body: of one request, or of a batch.

    Raises:
        UnreadableRequest: it is no JSON object or list of objects, or one of them holds no text as `query`.
    """
    asked = _json(body)
    requests = asked if isinstance(asked, list) else [asked]
    if not requests:
        raise UnreadableRequest("GraphQL: expected a request, found an empty batch.")
    return tuple(_document_of(request) for request in requests)


def documents_of_frame(frame: str) -> tuple[str, ...]:
    """The documents of a client's websocket frame: one when it opens an operation, else none.

    Raises:
        UnreadableRequest: it is no JSON object of a known type, or opens an operation without a text as `query`.
    """
    message = _json(frame)
    kind = message.get("type") if isinstance(message, dict) else None
    if kind in _OPENING:
        return (_document_of(message.get("payload")),)
    if kind in _OTHER:
        return ()
    raise UnreadableRequest("websocket: expected a message of GraphQL's protocols, found another.")


def _document_of(request: object) -> str:
    document = request.get("query") if isinstance(request, dict) else None
    if not isinstance(document, str):
        raise UnreadableRequest("GraphQL: expected an object with a text as `query`, found none.")
    return document


def _json(text: str | bytes) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise UnreadableRequest("request: expected JSON, found something else.") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnreadableRequest("request: expected every name once in an object, found one twice.")
    return found


@functools.lru_cache(maxsize=KEPT_DOCUMENTS)
def _kept_answer(document: str) -> bool:
    return _answer(document)


def _answer(document: str) -> bool:
    try:
        definitions = parse(document, no_location=True, max_tokens=TOKENS_MAX).definitions
    except GraphQLError as error:
        raise UnreadableRequest(f"GraphQL: expected a document, found: {error.message}") from None
    except RecursionError:
        raise UnreadableRequest("GraphQL: expected a document, found one too deep to read.") from None
    operations = [found for found in definitions if isinstance(found, OperationDefinitionNode)]
    fragments = sum(isinstance(found, FragmentDefinitionNode) for found in definitions)
    if not operations or len(operations) + fragments != len(definitions):
        raise UnreadableRequest("GraphQL: expected operations and fragments, found something else.")
    return any(operation.operation is OperationType.MUTATION for operation in operations)
