"""A chart of loads over time: a bar for each, of what was accepted, unchanged and rejected. Numbers only; the template
draws it."""

from collections.abc import Sequence
from dataclasses import dataclass

from optimove_provider.loads.history.loads import Load

WIDTH, HEIGHT, LONGEST = 720, 160, 60
"""In the units of the drawing; and the number of bars."""
PARTS = ("accepted", "unchanged", "rejected")
_LEAST = 2.0
"""So high is what is not nothing: a rejected row among a million is seen."""


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of a bar."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A load, and where it stands."""

    load: Load
    x: float
    width: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars, the oldest first; `top` is the number of rows that the highest stands for."""

    bars: tuple[Bar, ...]
    top: int


def chart(newest_first: Sequence[Load]) -> Chart:
    """The last loads that came to an end. Those that only planned have done nothing."""
    loads = [load for load in newest_first if load.state in ("committed", "uploaded", "nothing_to_send", "failed")]
    loads = loads[:LONGEST][::-1]
    top = max((sum(load.counts[kind] for kind in PARTS) for load in loads), default=0)
    step = WIDTH / max(len(loads), 12)
    return Chart(tuple(Bar(one, i * step, step * 0.8, _parts(one, top)) for i, one in enumerate(loads)), top)


def _parts(load: Load, top: int) -> tuple[Part, ...]:
    found, floor = [], float(HEIGHT)
    for kind in PARTS:
        if rows := load.counts[kind]:
            height = max(_LEAST, rows / top * (HEIGHT - len(PARTS) * _LEAST))
            floor -= height
            found.append(Part(kind, round(floor, 2), round(height, 2)))
    return tuple(found)
