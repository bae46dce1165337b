"""The size of the house: rooms, files, lines, and the arrows between rooms.

    python docs/measurements/house.py

A room is a folder or a file directly in `mgajax/`. An arrow goes from a room to another that one of its
files imports, however often. Leaves (`errors`, `progress`, ...) are rooms like all others.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def room_of(file: Path) -> str:
    """The name of the room that a file stands in."""
    return file.relative_to(ROOT / "mgajax").parts[0].removesuffix(".py")


def imported_rooms(file: Path, *, rooms: set[str]) -> set[str]:
    """Rooms that a file imports, wherever in it; not its own."""
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    parts = [name.split(".") for name in names]
    imports = {part[1] for part in parts if part[0] == "mgajax" and len(part) > 1}
    return imports & rooms - {room_of(file)}


def main() -> None:
    """Print the figures."""
    files = sorted((ROOT / "mgajax").rglob("*.py"))
    shipped = [*files, *(ROOT / "tfds_builders").rglob("*.py"), *(ROOT / "configs").rglob("*.py")]
    rooms = {room_of(file) for file in files} - {"__init__", "__main__"}
    arrows: dict[str, set[str]] = {room: set() for room in sorted(rooms)}
    for file in files:
        if room_of(file) in rooms:
            arrows[room_of(file)] |= imported_rooms(file, rooms=rooms)
    lines = sum(file.read_text().count("\n") for file in shipped)
    print(f"rooms {len(rooms)}, files {len(shipped)}, lines {lines:,}", end=", ")
    print(f"arrows {sum(map(len, arrows.values()))}")
    for room, targets in arrows.items():
        print(f"  {room}: {' '.join(sorted(targets))}")


if __name__ == "__main__":
    main()
