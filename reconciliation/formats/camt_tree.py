"""XML elements of a camt message as plain nested dicts, keyed by local name: one pass, no path look-ups.

Law: an element that may stand once stands once; text is bounded in length; what must be text is no element. Every
message version is read alike, because names and not places or namespaces decide. Postal addresses and other parts that
no line has a column for are left out.
"""

from typing import Any, Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.values import refused, shown
from reconciliation.formats.xml_stream import Element, local_name

Tree = dict[str, Any]
"""Local name to stripped text, to a tree, to ``Amount`` for an amount, to a list for what may stand several times."""

Amount = tuple[str | None, str | None]
"""Text and currency as written."""

XML_SPACE: Final = " \t\r\n"  # what XML calls white space; other blanks are characters like any other

_PLAIN, _ONCE, _AMOUNT, _MANY, _LEFT_OUT = range(5)
_KINDS: Final = (
    dict.fromkeys(("CdtDbtInd", "Sts"), _ONCE)
    | dict.fromkeys(("Amt", "TtlAmt", "TtlChrgsAndTaxAmt"), _AMOUNT)
    | dict.fromkeys(
        ("Ustrd", "Strd", "AddtlRmtInf", "AddtlInf", "Rcrd", "Chrgs", "NtryDtls", "TxDtls", "RfrdDocInf"),
        _MANY,
    )
    | dict.fromkeys(
        (
            "PstlAdr",
            "CtctDtls",
            "Avlbty",
            "SplmtryData",
            "Tax",
            "TaxRmt",
            "GrnshmtRmt",
            "Intrst",
            "RltdRmtInf",
            "RltdPric",
            "RltdQties",
            "FinInstrmId",
            "CorpActn",
            "SfkpgAcct",
            "CshDpst",
            "TtlNtriesPerBkTxCd",
            "Ntry",
            "Bal",
        ),
        _LEFT_OUT,
    )
)
_NAMES_MAX: Final = 10_000  # a hostile document may invent names without end


class _Names(dict[str, tuple[str, int]]):
    """Full tag to local name and how to keep it: a document uses a few hundred names a million times."""

    def __missing__(self, tag: str) -> tuple[str, int]:
        name = local_name(tag)
        entry = (name, _KINDS.get(name, _PLAIN))
        if len(self) < _NAMES_MAX:
            self[tag] = entry
        return entry


NAMES: Final = _Names()


def name_of(element: Element) -> str:
    """Local name of an element."""
    return NAMES[element.tag][0]


def tree_of(element: Element, field_length_max: int) -> Tree:
    """What stands below an element. Of a repeated element the first counts; codes ``limit``, ``structure``."""
    found: Tree = {}
    for child in element:
        name, kept = NAMES[child.tag]
        if kept == _LEFT_OUT:
            continue
        text = child.text
        value: Any
        if text is None or len(child):
            value = tree_of(child, field_length_max)
        else:
            if len(text) > field_length_max:
                raise _too_long(child, len(text), field_length_max)
            value = text.strip(XML_SPACE)
        if kept == _PLAIN:
            if name not in found:
                found[name] = value
        elif kept == _MANY:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise refused(
                "structure",
                path_of(child),
                "one element",
                "a second one",
                "Which one counts cannot be known; ask for a corrected file.",
            )
        elif kept == _AMOUNT:
            found[name] = (_only_text(child, value), child.get("Ccy"))
        else:
            found[name] = value
    return found


def text_at(tree: Tree, name: str) -> str | None:
    """Text of a child, None where it is absent or empty. Refuses elements where text was expected."""
    value = tree.get(name)
    if not value:
        return None
    if value.__class__ is not str:
        raise refused("structure", name, "text", f"the element {_first_name(value)}")
    return str(value)


def below(tree: Tree, name: str) -> Tree:
    """Tree of a child, an empty one where it is absent or holds only text."""
    value = tree.get(name)
    return value if value.__class__ is dict else {}


def texts_at(tree: Tree, name: str) -> list[str]:
    """Texts of a child that may stand several times, in order, the empty ones left out."""
    texts = []
    for value in tree.get(name, ()):
        if value.__class__ is not str and value:
            raise refused("structure", name, "text", f"the element {_first_name(value)}")
        if value:
            texts.append(str(value))
    return texts


def trees_at(tree: Tree, name: str) -> list[Tree]:
    """Trees of a child that may stand several times, in order."""
    return [value for value in tree.get(name, ()) if value.__class__ is dict]


def path_of(element: Element) -> str:
    """Local names from the statement, the entry or the root down to the element."""
    names = [name_of(element)]
    for ancestor in element.iterancestors():
        name = name_of(ancestor)
        if name in {"Ntry", "Stmt", "Rpt", "Ntfctn", "Document"}:
            break
        names.append(name)
    return "/".join(reversed(names[:20]))


def _only_text(element: Element, value: str | Tree) -> str | None:
    if isinstance(value, str):
        return value or None
    if value or len(element):
        raise refused("structure", path_of(element), "text", f"the element {name_of(element[0])}")
    return None


def _first_name(value: object) -> str:
    return shown(next(iter(value), None)) if isinstance(value, dict) else "that it may not be"


def _too_long(element: Element, length: int, field_length_max: int) -> RefusedFile:
    return refused("limit", path_of(element), f"at most {field_length_max} characters", f"{length}")
