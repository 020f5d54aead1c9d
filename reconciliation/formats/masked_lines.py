"""Text that a file breaks over several lines, without card numbers in a line or across a break."""

from collections.abc import Callable, Sequence


def masked_lines(lines: Sequence[str], masked: Callable[[str], str]) -> str:
    """The lines, blanks at their ends removed, one below the other. ``masked`` keeps the length of a text.

    >>> from reconciliation.formats.card_numbers import masked_text
    >>> masked_lines(["card 41111111", "11111111"], masked_text)
    'card 411111**\\n****1111'
    """
    if len(lines) == 1:
        return masked(lines[0]).strip()
    shown = masked("\n".join(line.rstrip() for line in lines)).strip()
    glued = shown.replace("\n", "")
    hidden = masked(glued)
    if hidden == glued:
        return shown
    places = iter(hidden)
    return "".join("\n" if character == "\n" else next(places) for character in shown)
