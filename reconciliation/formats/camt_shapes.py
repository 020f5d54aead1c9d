"""The parts of an entry that was read by its shape, and of its details: the same as ``camt_parts`` finds in elements.

Law: paths come from ``camt_parts`` alone. A shape that is wrong for good has no plan and its entries no parts, so that
the element itself is read and refused with its place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from reconciliation.formats.camt_lines import CODED_PATHS, Coded
from reconciliation.formats.camt_parts import Parts, PartsShape
from reconciliation.formats.xml_shapes import Shape, Texts

CODED_MAX: Final = 4_096
"""Readings that are remembered of one shape."""

_ENTRY: Final = -1


_Segment = tuple[int, tuple[str, ...], slice]
"""Neighbouring texts that belong to one detail, or to the entry outside of its details: owner, paths, texts."""


@dataclass(frozen=True, slots=True)
class EntryPlan:
    """Where each text of a shape belongs."""

    blank: Parts  # of the entry without its details
    details: tuple[Parts, ...]  # the blank parts of each
    groups: list[int]  # number of details of each group that has any
    segments: tuple[_Segment, ...]
    codes_in: Callable[[Texts], object]  # the texts that decide over ``coded``
    coded: dict[object, Coded]  # as read before

    def parts(self, texts: Texts) -> tuple[Parts, list[Parts]]:
        """Parts of an entry and of its details."""
        entry = self.blank.copy()
        details = [blank.copy() for blank in self.details]
        for owner, paths, place in self.segments:
            (entry if owner == _ENTRY else details[owner]).update(zip(paths, texts[place], strict=True))
        return entry, details


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
    coded = [
        place
        for place, (element, currency) in enumerate(shape.groups)
        if owners[element] == _ENTRY and not currency and paths[element] in CODED_PATHS
    ]
    return EntryPlan(
        blank=whole.blank,
        details=tuple(one.blank for one in below),
        groups=list(groups.values()),
        segments=_segments(shape, owners, paths),
        codes_in=itemgetter(*coded) if coded else _nothing,
        coded={},
    )


def _nothing(texts: Texts) -> None:
    """No text decides anything."""


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


def _segments(shape: Shape, owners: list[int], paths: dict[int, str]) -> tuple[_Segment, ...]:
    segments: list[_Segment] = []
    for place, (element, currency) in enumerate(shape.groups):
        path = paths[element] + ("@" if currency else "")
        if segments and segments[-1][0] == owners[element]:
            owner, before, texts = segments.pop()
            segments.append((owner, (*before, path), slice(texts.start, place + 1)))
        else:
            segments.append((owners[element], (path,), slice(place, place + 1)))
    return tuple(segments)
