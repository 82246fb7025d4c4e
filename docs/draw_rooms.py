"""Draws the package's rooms from its code: `python docs/draw_rooms.py` writes docs/rooms.svg.

A room is a folder, in it its modules, beside it how many other rooms it imports. Its floor is the longest way down its
imports, so an arrow would always point downwards: none is drawn. A test compares the picture with the code.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from html import escape
from pathlib import Path

import grimp

PACKAGE = "optimove_provider"
PICTURE = Path(__file__).with_name("rooms.svg")
LEFT_OUT = ("demo", "__main__", "cli")  # what starts the others
WINGS = (
    ("operators", "sensors", "notifications", "triggers", "links", "assets", "tasks", "hooks"),
    ("loads",),
    ("records",),
    ("clients", "contract", "options", "surroundings"),
    ("emulator",),
)
"""What stands below each other in the picture, by top folder; any other has the last wing."""
ROOM, LINE, GAP = 176, 15, 12
WIDTH = GAP + len(WINGS) * (ROOM + GAP)

_STYLE = """
text { font: 11px sans-serif; fill: #1f2328 } .name { font-weight: bold; font-size: 12px } .floor { fill: #59636e }
rect { fill: #f6f8fa; stroke: #59636e } .page { fill: #ffffff; stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .floor { fill: #9198a1 } rect { fill: #151b23; stroke: #9198a1 } .page { fill: #0d1117 }
}"""


def rooms() -> dict[str, set[str]]:
    """The modules of each folder, by its dotted name without the package's.

    A module that stands beside folders is a room of its own: those of one folder may stand on different floors.
    """
    graph = _graph()
    folders = {module for module in graph.modules if graph.find_children(module)}
    with_folders = {module.rpartition(".")[0] for module in folders}
    found: dict[str, set[str]] = defaultdict(set)
    for module in graph.modules - folders:
        folder = module.rpartition(".")[0]
        room = module if folder in with_folders else folder
        found[room.removeprefix(f"{PACKAGE}.")].add(module.rpartition(".")[2])
    return {room: names for room, names in found.items() if room.partition(".")[0] not in LEFT_OUT}


def imports(among: Iterable[str]) -> dict[str, set[str]]:
    """Which other rooms each room imports."""
    graph, known = _graph(), set(among)
    found: dict[str, set[str]] = {room: set() for room in known}
    for module in graph.modules:
        importer = _room(module, known)
        for imported in graph.find_modules_directly_imported_by(module):
            other = _room(imported, known)
            if importer and other and importer != other:
                found[importer].add(other)
    return found


def _room(module: str, known: set[str]) -> str | None:
    name = module.removeprefix(f"{PACKAGE}.")
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None  # the package itself, and what is left out


def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(PACKAGE, exclude_type_checking_imports=True)


def floors(of: Mapping[str, set[str]]) -> list[list[str]]:
    """The rooms by floor, the ground floor last. Raises ValueError where rooms import each other in a circle."""
    left, found = dict(of), []
    while left:
        ground = sorted(room for room, below in left.items() if not below & left.keys())
        if not ground:
            raise ValueError(f"rooms import each other: {sorted(left)}")
        found.insert(0, ground)
        for room in ground:
            del left[room]
    return found


def picture() -> str:
    """The picture, as SVG that follows the reader's light or dark mode."""
    modules = rooms()
    below = imports(modules)
    shapes, top = [], GAP
    for floor in floors(below):
        tops = [top] * len(WINGS)
        for room in floor:
            wing = _wing(room)
            left = GAP + wing * (ROOM + GAP)
            shapes += _room_shape(room, sorted(modules[room]), len(below[room]), left, tops[wing])
            tops[wing] += _height(room, modules[room]) + LINE // 2
        top = max(tops) + GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img"'
    title = "<title>The rooms of the package: each imports only rooms that stand below it</title>"
    page = f'<rect class="page" width="{WIDTH}" height="{top}"/>'
    return "\n".join([f"{head}>", title, f"<style>{_STYLE}</style>", page, *shapes, "</svg>", ""])


def _wing(room: str) -> int:
    top = room.partition(".")[0]
    return next((number for number, wing in enumerate(WINGS) if top in wing), len(WINGS) - 1)


def _listed(room: str, modules: Collection[str]) -> Collection[str]:
    """The modules that are written into a room; none where the room is one."""
    return () if list(modules) == [room.rpartition(".")[2]] else modules


def _height(room: str, modules: Collection[str]) -> int:
    return LINE * (len(_listed(room, modules)) + 2) - LINE // 2


def _room_shape(room: str, modules: list[str], imported: int, left: int, top: int) -> Iterable[str]:
    yield f'<rect x="{left}" y="{top}" width="{ROOM}" height="{_height(room, modules)}" rx="4"/>'
    yield f'<text class="name" x="{left + 8}" y="{top + LINE}">{escape(room.replace(".", "/"))}</text>'
    if imported:
        yield f'<text class="floor" x="{left + ROOM - 6}" y="{top + LINE}" text-anchor="end">↓{imported}</text>'
    for number, name in enumerate(_listed(room, modules), 2):
        yield f'<text x="{left + 8}" y="{top + LINE * number}">{escape(name)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
