"""Drawings of computations: of Tensors, of tapes, and of whatever can tell its graph, into PNG, SVG or DOT files.

    draw(loss, "loss.png", names={"W": W, "x": x})

Inputs and constants are green, operations cyan, and operations that only move values in memory grey.  A number
stands on the edges that it flows along; of an array the shape stands in its node, and the values too where they are
few.  Where Graphviz is installed its ``dot`` places the nodes, else `mytorch.extras.layout` does; the picture is
matplotlib's in both cases.  DOT files need neither.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Hashable, Mapping, Sequence
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mytorch.extras.graph import Node, graph_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mytorch.extras.layout import Layout, Size

COLOURS = {"input": "#b7e4a8", "operation": "#a8e6ee", "memory": "#d9d9d9"}
FONT, SMALL, LINE = "DejaVu Sans", 9.0, 1.35  # points of the texts on edges, line height in ems
LARGE = 11.0
FEW = 6  # values
MOST_NODES = 500
MARGIN = 10.0


class Arrow(NamedTuple):
    """An edge of the drawing: from the value of a node to an operation that reads it."""

    source: Hashable
    target: Hashable
    label: str


def draw(
    source: Any,
    path: str | Path | None = None,
    *,
    names: Mapping[str, Any] | None = None,
    layout: str | None = None,
    dpi: int = 150,
) -> Any:
    """Draw the computation of `source`.

    Parameters
    ----------
    source : a Tensor, a tape (`mytorch.Autograd`), or an object with a ``__graph__`` method, as those of
        `mytorch.faces` are
    path : the file, ``.png``, ``.svg``, ``.pdf`` or ``.dot``; None to get a matplotlib Figure
    names : what to call Tensors and arrays, as in ``{"x": x}``
    layout : "dot" (Graphviz) or "layered" (our own); None for the first of them that is there
    dpi : dots per inch of a PNG

    Returns
    -------
    Path of the file, or matplotlib.figure.Figure if `path` is None

    Raises
    ------
    ImportError
        If matplotlib or networkx is missing (``pip install matplotlib networkx``).
    TypeError, ValueError
        If `source` cannot tell its graph, or the file's ending is unknown.

    Examples
    --------
    >>> import numpy as np, mytorch
    >>> x = mytorch.Tensor([1.0, 2.0], requires_grad=True)
    >>> figure = draw(np.sum(x * x), names={"x": x})
    >>> sorted(text.get_text() for text in figure.axes[0].texts)
    ['multiply\\n(2,)', 'sum\\n5', 'x\\n(2,)\\n[1, 2]']
    """
    nodes = graph_of(source, names)
    if len(nodes) > MOST_NODES and (path is None or Path(path).suffix != ".dot"):
        raise ValueError(
            f"a picture of {len(nodes)} nodes could not be read (the limit is {MOST_NODES}); draw an earlier "
            "result, or write a .dot file"
        )
    if path is None:
        return picture(nodes, layout)
    path = Path(path)
    if path.suffix == ".dot":
        path.write_text(dot_text(nodes), encoding="utf-8")
    elif path.suffix in (".png", ".svg", ".pdf"):
        _save(picture(nodes, layout), path, dpi)
    else:
        raise ValueError(f"a drawing is a .png, .svg, .pdf or .dot file, not {path.name!r}")
    return path


def show(source: Any, path: str | Path | None = None, **options: Any) -> Path | None:
    """Draw `source` into `path`, else on the screen, else, where there is no screen, into ``graph.png``.

    Returns
    -------
    Path of the file, which is printed, or None if it is on the screen
    """
    if path is None and _has_screen():
        _on_screen(draw(source, **options))
        return None
    written: Path = draw(source, path or "graph.png", **options)
    print(f"drawn into {written}")
    return written


def _has_screen() -> bool:
    """Say whether matplotlib, as it is set up here, opens windows or draws into a notebook."""
    _need()
    import matplotlib

    backend = str(matplotlib.get_backend()).lower()
    return "inline" in backend or backend not in ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")


def _on_screen(figure: Figure) -> None:
    """Show a figure in a window, or in the notebook."""
    import matplotlib.pyplot as plt

    image = BytesIO()
    figure.savefig(image, format="png", dpi=150)
    image.seek(0)
    plt.figure().figimage(plt.imread(image), resize=True)
    plt.show()


def _need() -> None:
    """Raise ImportError with the remedy if matplotlib or networkx is missing."""
    try:
        import_module("matplotlib")
        import_module("networkx")
    except ImportError as error:
        raise ImportError(
            f"drawing needs matplotlib and networkx, and {error.name} is missing: pip install {error.name} "
            "(a .dot file needs neither)"
        ) from None


# -- texts -----------------------------------------------------------------------------------------------------


def texts_of(nodes: Sequence[Node]) -> tuple[dict[Hashable, str], list[Arrow]]:
    """Return the text of every node, and the edges with theirs."""
    read = {key for node in nodes for key, _ in node.inputs}
    texts = {node.key: _text(node, node.key in read) for node in nodes}
    flows = {node.key: _flow(node) for node in nodes}
    arrows = [Arrow(key, node.key, part or flows[key]) for node in nodes for key, part in node.inputs]
    return texts, arrows


def _text(node: Node, is_read: bool) -> str:
    """Return what stands in a node: what it is, its shape, and its values where these are few."""
    value = node.value
    if isinstance(value, int | float):
        hidden = node.kind != "input" and is_read  # then the value stands on the edges
        lines = [node.label] if hidden or (node.label and is_read) else [node.label, _number(value)]
    elif value is None:
        lines = [node.label, str(node.shape) if node.shape else ""]
    else:
        array = np.asarray(value)
        lines = [node.label, str(array.shape) if array.ndim else ""]
        if 0 < array.size <= FEW and array.ndim < 3:
            lines.append(_few(array))
    return "\n".join(line for line in lines if line) or "?"


def _flow(node: Node) -> str:
    """Return what stands on the edges that leave a node: a number, unless it stands in the node."""
    if isinstance(node.value, int | float) and (node.label or node.kind != "input"):
        return _number(node.value)
    return ""


def _number(value: Any) -> str:
    """Return a number in few characters."""
    if isinstance(value, complex):
        return f"{value:.3g}"
    if isinstance(value, int) or (value == value // 1 and abs(value) < 1e6):
        return str(int(value))
    return str(round(value, 3)) if 0.01 <= abs(value) < 1e5 else f"{value:.3g}"


def _few(array: np.ndarray) -> str:
    """Return the values of a small array, a line for each row."""
    if array.ndim == 0:
        return _number(array.item())
    if array.ndim == 1:
        return f"[{', '.join(map(_number, array.tolist()))}]"
    return "\n".join(map(_few, array))


def dot_text(nodes: Sequence[Node]) -> str:
    """Return the graph in Graphviz's DOT language."""
    texts, arrows = texts_of(nodes)
    number = {node.key: f"n{i}" for i, node in enumerate(nodes)}
    lines = ["digraph computation {", "  rankdir=LR;", f'  node [fontname="{FONT}", style="filled,rounded"];']
    for node in nodes:
        shape = "box" if node.kind == "input" or "\n" in texts[node.key] else "ellipse"
        lines.append(
            f'  {number[node.key]} [label="{_escaped(texts[node.key])}", shape={shape}, '
            f'fillcolor="{COLOURS[node.kind]}"];'
        )
    for arrow in arrows:
        label = f' [label="{_escaped(arrow.label)}"]' if arrow.label else ""
        lines.append(f"  {number[arrow.source]} -> {number[arrow.target]}{label};")
    return "\n".join([*lines, "}", ""])


def _escaped(text: str) -> str:
    """Return `text` as it stands between quotes in DOT."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


# -- the picture -----------------------------------------------------------------------------------------------


def picture(nodes: Sequence[Node], layout: str | None = None) -> Figure:
    """Return the drawing as a figure, as large as its texts need."""
    _need()
    from matplotlib.figure import Figure

    texts, arrows = texts_of(nodes)
    sizes = {node.key: _node_size(_typeset(texts[node.key], node)) for node in nodes}
    labels = [_size(arrow.label, SMALL, 3.0) if arrow.label else (0.0, 0.0) for arrow in arrows]
    placed = _place(sizes, arrows, labels, layout)
    left, bottom, right, top = _bounds(sizes, labels, placed)
    figure = Figure(figsize=((right - left) / 72, (top - bottom) / 72))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(left, right), ylim=(bottom, top))
    axes.set_axis_off()
    for arrow, path, centre in zip(arrows, placed.paths, placed.labels, strict=True):
        _draw_arrow(axes, arrow.label, path, centre)
    for node in nodes:
        _draw_node(axes, _typeset(texts[node.key], node), node.kind, placed.nodes[node.key], sizes[node.key])
    return figure


def _typeset(text: str, node: Node) -> str:
    """Return a node's text as matplotlib writes it: the name x_1 of an input with a subscript."""
    name, *rest = text.replace("$", r"\$").split("\n")
    subscripted = re.fullmatch(r"([A-Za-z])_(\w{1,3})", name) if node.kind == "input" else None
    if subscripted:
        name = f"${subscripted[1]}_{{{subscripted[2]}}}$"
    return "\n".join([name, *rest])


def _size(text: str, points: float, padding: float) -> Size:
    """Return width and height of `text` in points, with padding around it."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(family=FONT)
    lines = text.split("\n")
    width = max(TextPath((0, 0), line, size=points, prop=font).get_extents().x1 for line in lines)
    return width + 2 * padding, len(lines) * points * LINE + 2 * padding


def _node_size(text: str) -> Size:
    """Return the size of a node's box; what is nearly round becomes a circle."""
    width, height = _size(text, LARGE, 6.0)
    return (max(width, height),) * 2 if "\n" not in text and width < 1.6 * height else (width, height)


def _place(
    sizes: Mapping[Hashable, Size], arrows: Sequence[Arrow], labels: Sequence[Size], layout: str | None
) -> Layout:
    """Return where everything goes."""
    from mytorch.extras.layout import Edge, layered

    if layout not in (None, "dot", "layered"):
        raise ValueError(f'layout must be "dot", "layered" or None, not {layout!r}')
    program = None if layout == "layered" else shutil.which("dot")
    if program:
        return _place_by_dot(program, sizes, arrows, labels)
    if layout == "dot":
        raise ValueError('layout="dot" needs the program dot of Graphviz (https://graphviz.org/download/)')
    edges = [Edge(arrow.source, arrow.target, size) for arrow, size in zip(arrows, labels, strict=True)]
    return layered(sizes, edges)


def _place_by_dot(
    program: str, sizes: Mapping[Hashable, Size], arrows: Sequence[Arrow], labels: Sequence[Size]
) -> Layout:
    """Return the layout of Graphviz's dot for boxes of our sizes."""
    from mytorch.extras.layout import Layout

    number = {key: i for i, key in enumerate(sizes)}
    lines = [
        "digraph {",
        "rankdir=LR; ranksep=0.35; nodesep=0.22;",
        'node [fixedsize=true, label=""];',
    ]
    for key, (width, height) in sizes.items():
        shape = "ellipse" if width == height else "box"
        lines.append(f"n{number[key]} [shape={shape}, width={width / 72:.4f}, height={height / 72:.4f}];")
    for i, (arrow, (width, height)) in enumerate(zip(arrows, labels, strict=True)):
        # A table without content reserves the room of the label, whatever fonts Graphviz knows.
        room = f'width="{width:.0f}" height="{height:.0f}"'
        table = f'<table border="0" fixedsize="true" {room}><tr><td></td></tr></table>'
        label = f", label=<{table}>" if width else ""
        lines.append(f'n{number[arrow.source]} -> n{number[arrow.target]} [id="{i}"{label}];')
    run = subprocess.run(
        [program, "-Tjson0"], input="\n".join([*lines, "}"]), capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise RuntimeError(f'{program} failed: {run.stderr.strip()}; layout="layered" does without it')
    result = json.loads(run.stdout)
    places = {thing["name"]: _point(thing["pos"]) for thing in result.get("objects", [])}
    edges = {int(edge["id"]): edge for edge in result.get("edges", [])}
    return Layout(
        {key: places[f"n{i}"] for key, i in number.items()},
        [_spline(edges[i]["pos"]) for i in range(len(arrows))],
        [_point(edges[i].get("lp", "0,0")) for i in range(len(arrows))],
    )


def _point(text: str) -> tuple[float, float]:
    x, y = text.split(",")
    return float(x), float(y)


def _spline(text: str) -> list[tuple[float, float]]:
    """Return the control points of an edge, ``e,x,y x,y x,y ...``, to the tip of its arrow."""
    tip, *points = text.split()
    end = _point(tip.removeprefix("e,"))
    path = [_point(point) for point in points]
    (x, y), (u, v) = path[-1], end
    return [*path, ((2 * x + u) / 3, (2 * y + v) / 3), ((x + 2 * u) / 3, (y + 2 * v) / 3), end]


def _bounds(
    sizes: Mapping[Hashable, Size], labels: Sequence[Size], placed: Layout
) -> tuple[float, float, float, float]:
    """Return left, bottom, right and top of all that is drawn, with a margin."""
    boxes = [(placed.nodes[key], size) for key, size in sizes.items()]
    boxes += [(centre, size) for centre, size in zip(placed.labels, labels, strict=True) if size[0]]
    boxes += [(point, (0.0, 0.0)) for path in placed.paths for point in path]
    left, right = min(x - w / 2 for (x, _), (w, _) in boxes), max(x + w / 2 for (x, _), (w, _) in boxes)
    bottom, top = min(y - h / 2 for (_, y), (_, h) in boxes), max(y + h / 2 for (_, y), (_, h) in boxes)
    return left - MARGIN, bottom - MARGIN, right + MARGIN, top + MARGIN


def _draw_arrow(
    axes: Any, label: str, points: Sequence[tuple[float, float]], centre: tuple[float, float]
) -> None:
    """Draw an edge along cubic curves, and its label where the layout left room for it."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    curve = Curve(points, [Curve.MOVETO] + [Curve.CURVE4] * (len(points) - 1))
    axes.add_patch(
        FancyArrowPatch(
            path=curve, arrowstyle="-|>", mutation_scale=9, linewidth=0.9, color="#444444", zorder=1
        )
    )
    if label:
        axes.text(
            *centre, label, fontsize=SMALL, family=FONT, ha="center", va="center", zorder=2, bbox=_WHITE
        )


_WHITE = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"}


def _draw_node(axes: Any, text: str, kind: str, centre: tuple[float, float], size: Size) -> None:
    """Draw a node: inputs as boxes, operations as ellipses where their texts are short, else as rounded boxes."""
    from matplotlib.patches import Ellipse, FancyBboxPatch

    (x, y), (width, height) = centre, size
    style: dict[str, Any] = {
        "facecolor": COLOURS[kind],
        "edgecolor": "#444444",
        "linewidth": 0.9,
        "zorder": 3,
    }
    if width == height and kind != "input":
        axes.add_patch(Ellipse(centre, width, height, **style))
    else:
        corner = f"round,pad=0,rounding_size={2 if kind == 'input' else min(10.0, height / 2)}"
        axes.add_patch(
            FancyBboxPatch((x - width / 2, y - height / 2), width, height, boxstyle=corner, **style)
        )
    axes.text(x, y, text, fontsize=LARGE, family=FONT, ha="center", va="center", linespacing=1.15, zorder=4)


def _save(figure: Figure, path: Path, dpi: int) -> None:
    """Write a figure, the same bytes for the same drawing."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "mytorch", "svg.fonttype": "path"}):
        figure.savefig(
            path,
            dpi=dpi,
            metadata=None
            if path.suffix == ".png"
            else {"Date" if path.suffix == ".svg" else "CreationDate": None},
        )
