"""What a page holds for a browser: its forms, each field with what it begins with, and what should not be there."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass(slots=True)
class FoundForm:
    """A form and its fields; a choice begins with what is chosen, a note with a word."""

    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[FoundForm] = []
        self._by_id: dict[str, FoundForm] = {}
        self._open: list[FoundForm] = []
        self._select, self._is_first = "", True

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(FoundForm(told.get("method", "get").upper(), told.get("action", "")))
            self._open.append(self.forms[-1])
            self._by_id[told.get("id", "")] = self.forms[-1]
        owner = (
            self._by_id.get(told["form"]) if told.get("form") else (self._open[-1] if self._open else None)
        )
        name = told.get("name", "")
        if tag == "option" and self._select and self._open:
            if "selected" in told or self._is_first:
                self._open[-1].fields[self._select] = told.get("value", "")
            self._is_first = False
        elif owner is not None and name and tag in {"input", "textarea", "select", "button"}:
            self._select, self._is_first = (name if tag == "select" else ""), True
            owner.fields.setdefault(name, told.get("value", "") or ("because" if tag == "textarea" else ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self._open:
            self._open.pop()
        if tag == "select":
            self._select = ""


def forms_of(html: str) -> list[FoundForm]:
    """All forms of a page."""
    reader = _Reader()
    reader.feed(html)
    return reader.forms


class _Watch(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.harm: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: (value or "").strip().lower() for name, value in attrs}
        is_ours = (tag == "script" and told.get("src", "").startswith("/static/")) or (
            tag == "meta" and "name" in told
        )
        if (
            tag in _NEVER_OURS
            or "-" in tag
            or (tag in {"script", "meta"} and not is_ours and "charset" not in told)
        ):
            self.harm.append(tag)
        for name, value in told.items():
            leads = name in {"href", "src", "action", "formaction", "hx-get", "hx-post"}
            if (
                name.startswith("on")
                or name in {"style", "srcdoc"}
                or (leads and value.startswith(_ELSEWHERE))
            ):
                self.harm.append(f"{tag} {name}={value}")


_NEVER_OURS = {"img", "iframe", "style", "base", "math", "object", "embed", "template", "marquee"}
_ELSEWHERE = ("javascript:", "data:", "//", "\\", "vbscript:", "https:")


def harm_in(html: str) -> list[str]:
    """Elements and attributes of a page that none of our templates has."""
    watch = _Watch()
    watch.feed(html)
    return watch.harm
