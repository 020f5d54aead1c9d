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
    shown = [masked(line) for line in lines]
    glued = "".join(shown)
    hidden = masked(glued)
    if hidden != glued:
        position = 0
        for index, line in enumerate(shown):
            shown[index] = hidden[position : position + len(line)]
            position += len(line)
    return "\n".join(line.rstrip() for line in shown).strip()
