"""Fixed colours of the classes: the same in every figure and display, told apart by colour-blind readers.

Source: M. Okabe and K. Ito, "Color Universal Design" (2008), eight colours; each is legible on a light and
on a dark ground except black, which is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["NEUTRAL", "class_colours"]

NEUTRAL = "#8a8f98"

_NAMED = {
    "hip": "#d55e00",
    "mip": "#0072b2",
    "track": "#0072b2",
    "shower": "#009e73",
    "delta": "#e69f00",
    "michel": "#cc79a7",
    "low energy": NEUTRAL,
}
_SPARE = ("#56b4e9", "#b09c00", "#7b4fa3", "#8c564b", "#17becf", "#d55e00", "#0072b2", "#009e73")


def class_colours(names: Sequence[str]) -> tuple[str, ...]:
    """A colour (`#rrggbb`) for each class: the class's own where the name is known, else the next spare one."""
    colours, spare = [], 0
    for name in names:
        colour = _NAMED.get(name.lower().replace("_", " "))
        if colour is None:
            colour = _SPARE[spare % len(_SPARE)]
            spare += 1
        colours.append(colour)
    return tuple(colours)
