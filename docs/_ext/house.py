"""Draws who imports whom, from the imports themselves, when the documentation is built."""

import re
from pathlib import Path

import grimp

import skpadim

PACKAGE = "skpadim"


def rooms_and_arrows(graph: grimp.ImportGraph) -> dict[str, set[str]]:
    """Return for each module and folder of the package those that it imports."""
    rooms: dict[str, set[str]] = {}
    for module in graph.modules - {PACKAGE, f"{PACKAGE}.__main__"}:
        room = module.split(".")[1]
        imported = {
            name.split(".")[1]
            for name in graph.find_modules_directly_imported_by(module)
            if name.startswith(f"{PACKAGE}.")
        }
        # What is imported from the package itself is at home in one of its rooms.
        for line in graph.get_import_details(importer=module, imported=PACKAGE):
            names = re.findall(r"\w+", line["line_contents"].partition(" import ")[2])
            imported |= {
                skpadim._HOMES[name].split(".")[1] for name in names if name in skpadim._HOMES
            }
        rooms.setdefault(room, set()).update(imported - {room})
    return rooms


def tools_of(rooms: dict[str, set[str]]) -> set[str]:
    """Return private modules that import nothing but one another: any room may use them."""
    tools = {room for room in rooms if room.startswith("_")}
    while others := {room for room in tools if not rooms[room] <= tools}:
        tools -= others
    return tools


def draw(rooms: dict[str, set[str]]) -> str:
    """Return the picture in the language of Graphviz."""
    tools = tools_of(rooms)
    arrows = {room: imported - tools for room, imported in rooms.items() if room not in tools}

    def reached(room: str) -> set[str]:
        return arrows[room].union(*map(reached, arrows[room]))

    lines = [
        "digraph house {",
        'bgcolor="white"; rankdir=TB; nodesep=0.25; ranksep=0.45;',
        'node [shape=box, style=filled, fillcolor="#eef3f8", color="#0072b2", fontname=Helvetica];',
        'edge [color="#595959", arrowsize=0.7];',
    ]
    for room, imported in sorted(arrows.items()):
        lines.append(f'"{room}";')
        # An arrow that others imply would say nothing new.
        implied = set().union(*map(reached, imported))
        lines += [f'"{room}" -> "{other}";' for other in sorted(imported - implied)]
    label = "tools that any room may use\\n" + "\\n".join(
        ", ".join(sorted(tools)[start : start + 4]) for start in range(0, len(tools), 4)
    )
    lines += [f'"tools" [label="{label}", shape=note, fillcolor="#f7f7f7", color="#595959"];', "}"]
    return "\n".join(lines)


def write(app) -> None:
    """Write the picture beside the page that shows it."""
    folder = Path(app.srcdir, "generated")
    folder.mkdir(exist_ok=True)
    picture = draw(rooms_and_arrows(grimp.build_graph(PACKAGE)))
    (folder / "house.dot").write_text(picture + "\n", encoding="utf-8")


def setup(app) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
