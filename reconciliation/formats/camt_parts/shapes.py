"""The parts of an entry that was read by its shape, and of its details: the same as ``camt_parts.entry_parts`` finds in
elements.

Law: paths come from ``camt_parts.entry_parts`` alone. A shape that is wrong for good has no plan and its entries no
parts, so that the element itself is read and refused with its place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from reconciliation.formats.camt_parts.entry_parts import Parts, PartsShape
from reconciliation.formats.camt_parts.lines import CODED_PATHS, Coded
from reconciliation.formats.xml_shapes import Shape, Texts

_CODED_MAX: Final = 500  # readings that are remembered of one shape
_ENTRY: Final = -1  # owners of texts are the details, by number, the entry, and what decides over ``coded``
_DECIDES: Final = -2


_Chosen = Callable[[Texts], Texts]


@dataclass(frozen=True, slots=True)
class EntryPlan:
    """Where each text of a shape belongs."""

    blank: Parts  # of the entry without its details
    paths: tuple[str, ...]
    chosen: _Chosen  # its texts, by these paths, but for those that decide over ``coded``
    coded_paths: tuple[str, ...]
    details: tuple[tuple[Parts, tuple[str, ...], _Chosen], ...]  # the same of each detail
    groups: list[int]  # number of details of each group that has any
    codes_in: Callable[[Texts], Texts]
    coded: dict[Texts, Coded]  # as read before

    def parts(self, texts: Texts) -> tuple[Parts, Coded | None, list[Parts]]:
        """Parts of an entry, what its codes and dates say if it was read before, and parts of its details.

        What was read before is not read again: then the entry's parts are without the texts it was read from.
        """
        entry = self.blank.copy()
        entry.update(zip(self.paths, self.chosen(texts), strict=True))
        codes = self.codes_in(texts)
        coded = self.coded.get(codes)
        if coded is None:
            entry.update(zip(self.coded_paths, codes, strict=True))
        details = []
        for blank, paths, chosen in self.details:
            detail = blank.copy()
            detail.update(zip(paths, chosen(texts), strict=True))
            details.append(detail)
        return entry, coded, details

    def remember(self, texts: Texts, coded: Coded) -> None:
        """Keep what the codes and dates of an entry say."""
        if len(self.coded) < _CODED_MAX:
            self.coded[self.codes_in(texts)] = coded


def plan_of(shape: Shape) -> EntryPlan | None:
    """Plan of a shape; None where nothing of it can be used."""
    spans = _details_of(shape)
    if spans is None:
        return None
    owners = [_ENTRY] * len(shape.names)
    sizes = list(shape.sizes)
    dropped: set[int] = set()
    groups: dict[int, int] = {}
    for detail, (group, first, end) in enumerate(spans):
        owners[first + 1 : end] = [detail] * (end - first - 1)
        sizes[first] = 0
        if group in groups:  # one of a group is left below its entry, as an element that was read and freed
            dropped.add(first)
            sizes[group] -= 1
        groups[group] = groups.get(group, 0) + 1
    kept = [at for at, owner in enumerate(owners) if owner == _ENTRY and at not in dropped]
    whole = PartsShape([shape.names[at] for at in kept], [sizes[at] for at in kept])
    below = [
        PartsShape(shape.names[first + 1 : end], shape.sizes[first + 1 : end]) for _, first, end in spans
    ]
    if any(one.wrong is not None for one in (whole, *below)):
        return None
    paths: dict[int, str] = dict(zip(kept, whole.paths, strict=True))
    for (_, first, end), one in zip(spans, below, strict=True):
        paths.update(zip(range(first + 1, end), one.paths, strict=True))
    written = [paths[element] + ("@" if currency else "") for element, currency in shape.groups]
    places: list[list[int]] = [[] for _ in range(len(spans) + 2)]  # by owner
    for place, (element, _) in enumerate(shape.groups):
        owner = owners[element]
        decides = owner == _ENTRY and written[place] in CODED_PATHS
        places[_DECIDES if decides else owner].append(place)
    *chosen, codes, outside = [_texts_of(written, some) for some in places]
    return EntryPlan(
        blank=whole.blank,
        paths=outside[0],
        chosen=outside[1],
        coded_paths=codes[0],
        codes_in=codes[1],
        coded={},
        details=tuple((one.blank, *texts) for one, texts in zip(below, chosen, strict=True)),
        groups=list(groups.values()),
    )


def _texts_of(paths: list[str], places: list[int]) -> tuple[tuple[str, ...], _Chosen]:
    """Paths of some texts, and what chooses these texts of all."""
    names = tuple(paths[place] for place in places)
    first = places[0] if places else 0
    if places == list(range(first, first + len(places))):
        return names, itemgetter(slice(first, first + len(places)))
    return names, itemgetter(*places)


def _details_of(shape: Shape) -> list[tuple[int, int, int]] | None:
    """Group, first element and end of each detail; None if one stands elsewhere, or nothing in it but text."""
    ends = [0] * len(shape.names)
    parents = [-1] * len(shape.names)
    opened: list[tuple[int, int]] = []  # elements whose children follow, and how many more
    for at, size in enumerate(shape.sizes):
        while opened and not opened[-1][1]:
            ends[opened.pop()[0]] = at
        if opened:
            above, more = opened.pop()
            parents[at] = above
            opened.append((above, more - 1))
        opened.append((at, size))
    for at, _ in opened:
        ends[at] = len(shape.names)
    spans = []
    texts = {element for element, _ in shape.groups}
    for at, name in enumerate(shape.names):
        if name == "Ntry":
            return None
        if name == "TxDtls":
            group = parents[at]
            if group < 0 or shape.names[group] != "NtryDtls" or parents[group] >= 0 or at in texts:
                return None
            spans.append((group, at, ends[at]))
    return spans
