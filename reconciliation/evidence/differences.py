"""Where two definitions differ, key by key, for people who ask what changed in the rules. Pure.

changed({"lag": {"latest": 2}}, {"lag": {"latest": 3}}) is [{"place": "lag.latest", "before": 2, "after": 3}]
"""

from typing import Any


def changed(before: Any, after: Any, place: str = "") -> list[dict[str, Any]]:
    """Each place with what was and what is. Lists of one length are compared item by item, others as a whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = sorted(before.keys() | after.keys())
        pairs = [(f"{place}.{name}".lstrip("."), before.get(name), after.get(name)) for name in names]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [
            (f"{place}[{at}]", old, new) for at, (old, new) in enumerate(zip(before, after, strict=True))
        ]
    else:
        return [] if before == after else [{"place": place, "before": before, "after": after}]
    return [one for name, old, new in pairs for one in changed(old, new, name)]
