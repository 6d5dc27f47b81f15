"""Drawings: what stands in them, that nothing overlaps, and the files that they become."""

from __future__ import annotations

import itertools
import re
import struct
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from mytorch import Autograd, Tensor, nn
from mytorch.extras import draw
from mytorch.extras.draw import COLOURS, dot_text, picture, show, texts_of
from mytorch.extras.graph import Node, graph_of
from mytorch.faces import needle as ndl
from mytorch.faces import variable
from mytorch.faces import vugrad as vg
from mytorch.faces.backproppable import TestFxs as Fxs
from mytorch.faces.backproppable import to_ba
from mytorch.faces.variable import Variable

pytest.importorskip("matplotlib", reason="drawing needs matplotlib")
pytest.importorskip("networkx", reason="drawing needs networkx")


# -- what is drawn ----------------------------------------------------------------------------------------------------


def equation_4() -> Variable:
    """The hand-out's first graph."""
    x1, x2, x3 = Variable(5.0, name="x_1"), Variable(-2.0, name="x_2"), Variable(-5, name="x_3")
    return variable.ln(x1 + variable.sin(x1)) * variable.max(x2, x3) * 2


def loop() -> Variable:
    """The hand-out's second graph."""
    x1, y = Variable(5.0, name="x_1"), Variable(0)
    for i in range(5):
        y = y + x1 * i if i % 2 == 0 else y - x1 / i
    return y


def parameters() -> dict[str, Any]:
    rng = np.random.default_rng(11785)
    shapes = {"W_1": (8, 4), "b_1": (8,), "W_2": (3, 8), "b_2": (3,)}
    return {name: Tensor(rng.normal(size=shape), requires_grad=True) for name, shape in shapes.items()}


def two_layers() -> tuple[Tensor, dict[str, Any]]:
    """A two-layer network with softmax cross-entropy, on Tensors."""
    p, x, t = parameters(), np.ones((32, 4)), np.eye(3)[np.arange(32) % 3]
    h = np.maximum(x @ p["W_1"].T + p["b_1"], 0)
    z = h @ p["W_2"].T + p["b_2"]
    z = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    return -np.sum(z * t) / 32, {**p, "x": x, "targets": t}


def explicit_tape() -> tuple[Autograd, dict[str, Any]]:
    """A two-layer network on an explicit tape."""
    tape = Autograd()
    first, relu, second = nn.Linear(4, 8, tape), nn.ReLU(tape), nn.Linear(8, 3, tape)
    x = np.ones((5, 4))
    second(relu(first(x)))
    return tape, {"x": x, "W_1": first.W, "b_1": first.b, "W_2": second.W, "b_2": second.b}


def written() -> tuple[Tensor, dict[str, Any]]:
    """Views and writes in place."""
    v = Tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    y = v * v
    y[1:3] = v[:2]
    y *= 2
    return np.sum(y.reshape(2, 2) @ y.reshape(2, 2).T), {"v": v}


def needle_network() -> tuple[Any, dict[str, Any]]:
    """The softmax loss of a two-layer network, on needle."""
    x, w, v = (ndl.Tensor(np.full(shape, 0.5)) for shape in ((8, 4), (4, 6), (6, 3)))
    y = ndl.Tensor(np.eye(3)[np.arange(8) % 3])
    z = ndl.matmul(ndl.relu(ndl.matmul(x, w)), v)
    loss = (ndl.summation(ndl.log(ndl.summation(ndl.exp(z), axes=1))) - ndl.summation(z * y)) / 8
    return loss, {"x": x, "W_1": w, "W_2": v, "y": y}


def needle_gradient() -> tuple[Any, dict[str, Any]]:
    """A gradient, which in needle is a graph of its own."""
    a, b = ndl.Tensor([2.0]), ndl.Tensor([3.0])
    (a * b + ndl.exp(a)).backward()
    return a.grad, {"a": a, "b": b}


def vugrad_layer() -> tuple[Any, None]:
    """A layer and its loss, on vugrad."""
    x, w, b = (
        vg.TensorNode(np.ones(shape), name=name)
        for name, shape in (("x", (5, 4)), ("w", (4, 2)), ("b", (1, 2)))
    )
    layer = vg.sigmoid(x.matmul(w) + vg.Expand.do_forward(b, dim=0, repeats=5))
    chosen = vg.Select.do_forward(vg.logsoftmax(layer), indices=[0, 1, 0, 1, 1])
    return -vg.Sum.do_forward(chosen), None


PICTURES: dict[str, Any] = {
    "equation 4": lambda: (equation_4(), None),
    "loop": lambda: (loop(), None),
    "f4": lambda: (Fxs.f4(to_ba(1.5)), None),
    "g2": lambda: (Fxs.g2(to_ba(1.5)), None),
    "two layers": two_layers,
    "explicit tape": explicit_tape,
    "writes": written,
    "needle": needle_network,
    "needle gradient": needle_gradient,
    "vugrad": vugrad_layer,
    "leaf": lambda: (Tensor([1.0], requires_grad=True), None),
}


@pytest.fixture(params=PICTURES, ids=lambda name: name.replace(" ", "_"))
def nodes(request: pytest.FixtureRequest) -> list[Node]:
    """The nodes of one picture after the other."""
    return graph_of(*PICTURES[request.param]())


def by_label(nodes: Sequence[Node]) -> dict[str, Node]:
    return {node.label: node for node in nodes}


def edges(nodes: Sequence[Node]) -> list[tuple[str, str, str]]:
    """Return the edges between texts."""
    texts, arrows = texts_of(nodes)
    return [(texts[a.source], texts[a.target], a.label) for a in arrows]


# -- graphs -----------------------------------------------------------------------------------------------------------


def test_the_graph_of_equation_4_is_the_hand_outs() -> None:
    assert edges(graph_of(equation_4())) == [
        ("x_1", "sin", "5"),
        ("x_1", "+", "5"),
        ("sin", "+", "-0.959"),
        ("+", "ln", "4.041"),
        ("x_2", "max", "-2"),
        ("x_3", "max", "-5"),
        ("ln", "*", "1.397"),
        ("max", "*", "-2"),
        ("*", "*\n-5.586", "-2.793"),
        ("2", "*\n-5.586", ""),
    ]


def test_inputs_stand_before_what_was_computed_from_them(nodes: list[Node]) -> None:
    seen: set[Hashable] = set()
    for node in nodes:
        assert node.key not in seen
        assert all(key in seen for key, _ in node.inputs)
        assert node.kind in COLOURS
        assert (node.kind == "input") == (not node.inputs)
        seen.add(node.key)


def test_a_network_on_tensors() -> None:
    loss, names = two_layers()
    texts = edges(graph_of(loss, names))
    assert ("x\n(32, 4)", "matmul\n(32, 8)", "") in texts
    assert ("W_1\n(8, 4)", "matmul\n(32, 8)", ".T") in texts
    assert ("b_1\n(8,)", "add\n(32, 8)", "") in texts
    assert ("0", "maximum\n(32, 8)", "") in texts
    assert ("targets\n(32, 3)", "multiply\n(32, 3)", "") in texts
    assert texts[-1][:2] == ("32", f"divide\n{round(loss.item(), 3)}")


def test_a_network_on_an_explicit_tape() -> None:
    texts = edges(graph_of(*explicit_tape()))
    assert texts[0] == ("x\n(5, 4)", "linear\n(5, 8)", "")
    assert ("linear\n(5, 8)", "relu\n(5, 8)", "") in texts
    assert texts[-1][1] == "linear\n(5, 3)"
    assert texts[-1][0].startswith("b_2\n(3, 1)\n[")


def test_operations_recorded_by_hand_have_their_functions_names() -> None:
    def double_backward(g: np.ndarray, x: np.ndarray) -> np.ndarray:
        return 2 * g

    tape, x = Autograd(), np.array([1.0, 2.0])
    tape.add_operation([x], 2 * x, [None], double_backward)
    assert edges(graph_of(tape, {"x": x})) == [("x\n(2,)\n[1, 2]", "double\n(2,)\n[2, 4]", "")]


def test_views_and_writes_in_place() -> None:
    texts = edges(graph_of(*written()))
    assert ("v\n(4,)\n[1, 2, 3, 4]", "assign at [1:3]\n(4,)", "part (2,)") in texts
    assert ("multiply\n(4,)", "assign at [1:3]\n(4,)", "the rest") in texts
    assert ("assign at [1:3]\n(4,)", "multiply in place\n(4,)", "") in [
        (a, b.split("\n[")[0], c) for a, b, c in texts
    ]
    assert {c for _, b, c in texts if b.startswith("matmul")} == {"as (2, 2)"}
    assert by_label(graph_of(*written()))["assign at [1:3]"].kind == "memory"


@pytest.mark.parametrize("drawn", ["before the write", "after it"])
def test_a_value_that_was_written_over_is_not_shown_with_the_new_numbers(drawn: str) -> None:
    x = Tensor([0.0, 1.0], requires_grad=True)
    y = np.exp(x)
    before = np.sum(y)
    y[0] = 5.0
    nodes = by_label(graph_of(before if drawn == "before the write" else np.sum(y)))
    assert nodes["exp"].value is None
    assert nodes["exp"].shape == (2,)


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_entry_is_shown_by_its_index(order: Any) -> None:
    x = Tensor(np.ones((2, 1, 3), order=order), requires_grad=True)
    assert edges(graph_of(x[1, 0, 2] * 2, {"x": x}))[0][2] == "[1, 0, 2]"
    assert edges(graph_of(x[:, 0].T[-1, 0] * 2, {"x": x}))[0][2] == "[0, 0, 2]"


def test_only_what_the_tensor_depends_on_is_drawn() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    np.exp(y)
    assert [node.label for node in graph_of(y)] == ["", "", "multiply"]


def test_a_view_a_leaf_and_a_constant_are_drawn() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    assert edges(graph_of(x[1:], {"x": x})) == [("x\n(2,)\n[1, 2]", "view\n(1,)\n[2]", "part (1,)")]
    assert [node.label for node in graph_of(x, {"x": x})] == ["x"]
    assert texts_of(graph_of(Tensor([1.0, 2.0])))[0] == {"result": "(2,)\n[1, 2]"}


def test_names_for_the_objects_of_a_face() -> None:
    x = to_ba(2.0)
    assert edges(graph_of(x * 3, {"x": x}))[0] == ("x\n2", "BA_Mul\n6", "")


def test_needle_and_vugrad_tell_their_operators_and_names() -> None:
    texts = edges(graph_of(*needle_network()))
    assert ("x\n(8, 4)", "MatMul\n(8, 6)", "") in texts
    assert ("y\n(8, 3)", "EWiseMul\n(8, 3)", "") in texts
    assert texts[-1][1].startswith("DivScalar\n")
    texts = edges(graph_of(*needle_gradient()))
    assert ("b\n(1,)\n[3]", "EWiseMul\n(1,)\n[3]", "") in texts
    texts = edges(graph_of(*vugrad_layer()))
    assert ("b\n(1, 2)\n[1, 1]", "Expand\n(5, 2)", "") in texts
    assert texts[-1][0].startswith("Sum\n-")


def test_any_object_can_tell_its_graph() -> None:
    class Told:
        def __graph__(self) -> list[tuple[Any, ...]]:
            return [("a", "a", "input"), ("f", "f", "operation", ["a", ("a", ".T")], None, (2, 3))]

    assert edges(graph_of(Told())) == [("a", "f\n(2, 3)", ""), ("a", "f\n(2, 3)", ".T")]


def test_values_are_shown_in_few_characters() -> None:
    numbers = [0.0, -2.0, 1 / 3, 12345.678, 1e-7, 2e9, float("nan"), float("inf"), 7]
    shown = [texts_of([Node("x", "", "input", (), number)])[0]["x"] for number in numbers]
    assert shown == ["0", "-2", "0.333", "12345.678", "1e-07", "2e+09", "nan", "inf", "7"]
    many = Node("x", "x", "input", (), np.zeros(7))
    assert texts_of([many])[0]["x"] == "x\n(7,)"
    rows = Node("x", "x", "input", (), np.array([[1, 2], [3, 4]]))
    assert texts_of([rows])[0]["x"] == "x\n(2, 2)\n[1, 2]\n[3, 4]"
    assert texts_of([Node("x", "x", "input", (), np.array(1 + 2j))])[0]["x"] == "x\n1+2j"


# -- pictures ---------------------------------------------------------------------------------------------------------


def boxes_of(figure: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the boxes, in points, of nodes, of the texts in them, and of the labels of edges."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patches import FancyArrowPatch

    figure.set_dpi(72)
    renderer = FigureCanvasAgg(figure).get_renderer()
    axes = figure.axes[0]
    nodes = [p.get_window_extent(renderer) for p in axes.patches if not isinstance(p, FancyArrowPatch)]
    texts = [t.get_window_extent(renderer) for t in axes.texts if t.get_bbox_patch() is None]
    labels = [t.get_window_extent(renderer) for t in axes.texts if t.get_bbox_patch() is not None]
    return nodes, texts, labels


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_overlaps_and_texts_fit_into_their_nodes(name: str) -> None:
    figure = picture(graph_of(*PICTURES[name]()), "layered")
    nodes, texts, labels = boxes_of(figure)
    for a, b in itertools.combinations([*nodes, *labels], 2):
        assert not a.padded(-0.5).overlaps(b.padded(-0.5))
    for text, node in zip(texts, nodes, strict=True):
        assert node.x0 < text.x0 < text.x1 < node.x1
        assert node.y0 < text.y0 < text.y1 < node.y1
    for box in nodes + labels:
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height


@pytest.mark.parametrize("name", PICTURES)
def test_no_edge_passes_over_a_node_or_over_another_edges_label(name: str) -> None:
    from mytorch.extras.layout import Edge, layered

    nodes = graph_of(*PICTURES[name]())
    _, arrows = texts_of(nodes)
    sizes = {node.key: (60.0, 30.0) for node in nodes}
    room = (30.0, 12.0)
    placed = layered(sizes, [Edge(a.source, a.target, room) for a in arrows])
    for i, (arrow, path) in enumerate(zip(arrows, placed.paths, strict=True)):
        points = np.array(list(curve_points(path)))
        for key, centre in placed.nodes.items():
            if key not in (arrow.source, arrow.target):
                assert not inside(points, centre, sizes[key]).any()
        for j, centre in enumerate(placed.labels):
            assert inside(points, centre, room).any() == (i == j)


def curve_points(path: Sequence[tuple[float, float]]) -> Any:
    """Yield points on a path of cubic curves."""
    for a, b, c, d in zip(path[::3], path[1::3], path[2::3], path[3::3], strict=False):
        for t in np.linspace(0, 1, 20):
            yield np.array([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3]) @ np.array(
                [a, b, c, d]
            )


def inside(points: np.ndarray, centre: tuple[float, float], size: tuple[float, float]) -> np.ndarray:
    """Return which points lie strictly within a box."""
    within: np.ndarray = np.abs(points - centre) < np.array(size) / 2 - 0.01
    return within[:, 0] & within[:, 1]


def test_edges_run_from_left_to_right_and_end_at_their_nodes() -> None:
    from mytorch.extras.layout import Edge, layered

    placed = layered(
        {"a": (20, 10), "b": (40, 10), "c": (20, 10)}, [Edge("a", "b"), Edge("b", "c"), Edge("a", "c")]
    )
    assert placed.nodes["a"][0] < placed.nodes["b"][0] < placed.nodes["c"][0]
    for (x0, y0), (x1, y1), path in zip(
        (placed.nodes["a"], placed.nodes["b"]),
        (placed.nodes["b"], placed.nodes["c"]),
        placed.paths,
        strict=False,
    ):
        assert path[0][1] == y0
        assert path[-1][1] == y1
        assert x0 < path[0][0] < path[-1][0] < x1


def test_few_edges_cross() -> None:
    from mytorch.extras.layout import Edge, _crossings, _Grid, _order

    sources, targets = range(6), [f"t{i}" for i in (3, 1, 5, 0, 2, 4)]
    grid = _Grid(dict.fromkeys([*sources, *targets], (10, 10)), [Edge(i, f"t{i}") for i in sources])
    _order(grid)
    assert _crossings(grid) == 0


def test_parallel_edges_are_told_apart() -> None:
    from mytorch.extras.layout import Edge, layered

    first, second = layered({"x": (20, 20), "y": (20, 20)}, [Edge("x", "y"), Edge("x", "y")]).paths
    assert (first[0], first[-1]) == (second[0], second[-1])
    assert max(abs(a[1] - b[1]) for a, b in zip(first, second, strict=True)) > 4


def test_colours_tell_inputs_from_operations() -> None:
    from matplotlib.colors import to_hex
    from matplotlib.patches import FancyArrowPatch

    nodes = graph_of(equation_4())
    shapes = [p for p in picture(nodes).axes[0].patches if not isinstance(p, FancyArrowPatch)]
    assert [to_hex(shape.get_facecolor()) for shape in shapes] == [COLOURS[node.kind] for node in nodes]


def test_short_names_with_an_underscore_have_a_subscript() -> None:
    nodes = [Node(i, label, "input") for i, label in enumerate(("x_1", "W_out", "two_words", "a$b"))]
    texts = [text.get_text() for text in picture(nodes).axes[0].texts]
    assert texts == ["$x_{1}$", "$W_{out}$", "two_words", r"a\$b"]


# -- files ------------------------------------------------------------------------------------------------------------


def test_png(tmp_path: Path) -> None:
    path = draw(equation_4(), tmp_path / "graph.png", dpi=100)
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert width > 300
    assert height > 100


def test_svg_is_the_same_each_time(tmp_path: Path) -> None:
    first, second = (draw(equation_4(), str(tmp_path / f"{i}.svg")).read_bytes() for i in range(2))
    assert first == second
    assert ElementTree.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"


def test_pdf(tmp_path: Path) -> None:
    assert draw(equation_4(), tmp_path / "graph.pdf").read_bytes().startswith(b"%PDF")


def test_dot(tmp_path: Path) -> None:
    text = draw(equation_4(), tmp_path / "graph.dot").read_text()
    assert text.startswith("digraph computation {\n  rankdir=LR;")
    assert len(re.findall(r"^  n\d+ \[label=", text, re.MULTILINE)) == 10
    assert len(re.findall(r" -> ", text)) == 10
    assert f'[label="x_1", shape=box, fillcolor="{COLOURS["input"]}"]' in text
    assert 'label="-0.959"' in text


def test_texts_are_escaped_in_dot() -> None:
    assert r'label="a\"b\\c\nd"' in dot_text([Node("x", 'a"b\\c\nd', "input")])


def test_without_a_path_there_is_a_figure() -> None:
    figure = draw(equation_4())
    assert len(figure.axes[0].texts) == 10 + 9


def test_drawing_computes_nothing_and_leaves_the_tape_as_it_was() -> None:
    loss, names = two_layers()
    assert loss.tape is not None
    before = len(loss.tape.operation_list)
    draw(loss, names=names)
    assert len(loss.tape.operation_list) == before
    loss.backward()
    assert names["W_1"].grad is not None


# -- showing ----------------------------------------------------------------------------------------------------------


def test_draw_graph_saves_a_file_where_there_is_no_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("matplotlib.get_backend", lambda: "agg")
    assert equation_4().drawGraph() == Path("graph.png")
    assert capsys.readouterr().out == "drawn into graph.png\n"
    assert (tmp_path / "graph.png").stat().st_size > 1000
    equation_4().drawGraph("other.svg")
    assert (tmp_path / "other.svg").exists()


def test_draw_graph_opens_a_window_where_there_is_a_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("matplotlib.get_backend", lambda: "QtAgg")
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf().get_size_inches().tolist()))
    assert show(equation_4()) is None
    plt.close("all")
    assert shown[0][0] > shown[0][1] > 1
    assert list(tmp_path.iterdir()) == []


# -- Graphviz ---------------------------------------------------------------------------------------------------------

FAKE_DOT = """#!{python}
import json, re, sys
assert sys.argv[1:] == ["-Tjson0"]
source = sys.stdin.read()
open({log!r}, "w").write(source)
names = re.findall(r"^n(\\d+) \\[", source, re.M)
objects = [dict(name="n" + n, pos=f"{{90 * int(n)}},{{20 * int(n)}}") for n in names]
edges = [dict(id=i, pos=f"e,{{90 * int(b)}},1 {{90 * int(a)}},0 1,2 3,4 5,6", lp=f"{{90 * int(a) + 45}},7")
         for a, b, i in re.findall(r'^n(\\d+) -> n(\\d+) \\[id="(\\d+)"', source, re.M)]
print(json.dumps(dict(objects=objects, edges=edges)))
"""


def fake_dot(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    """Put a program of the name dot on the path."""
    program, log = folder / "dot", folder / "source.dot"
    program.write_text(text.format(python=sys.executable, log=str(log)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return log


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for Graphviz is a script with #!")
def test_graphviz_places_the_nodes_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fake_dot(tmp_path, monkeypatch, FAKE_DOT)
    nodes = graph_of(Variable(2.0, name="x_1") * 3)
    figure = picture(nodes)
    assert [t.get_position() for t in figure.axes[0].texts] == [
        (45.0, 7.0),
        (0.0, 0.0),
        (90.0, 20.0),
        (180.0, 40.0),
    ]
    assert "rankdir=LR" in log.read_text()
    assert len(re.findall(r"width=0\.\d+, height=0\.\d+", log.read_text())) == 3
    layered = picture(nodes, "layered").axes[0].texts[1].get_position()
    assert layered != (0.0, 0.0)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for Graphviz is a script with #!")
def test_what_graphviz_complains_of_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_dot(tmp_path, monkeypatch, "#!{python}\nimport sys\nsys.exit('no fonts')\n")
    with pytest.raises(RuntimeError, match=r'dot failed: no fonts; layout="layered" does without it'):
        draw(equation_4())


def test_the_real_graphviz_accepts_what_we_give_it() -> None:
    import shutil

    if shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed: its program dot is not on the path")
    nodes, _, labels = boxes_of(picture(graph_of(loop()), "dot"))
    for a, b in itertools.combinations(nodes, 2):
        assert not a.padded(-0.5).overlaps(b.padded(-0.5))
    assert len(labels) == sum(bool(label) for _, _, label in edges(graph_of(loop())))


# -- errors -----------------------------------------------------------------------------------------------------------


def test_errors_say_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    y = equation_4()
    with pytest.raises(
        TypeError, match=r"expected a Tensor, a tape or an object with a __graph__ method, got int"
    ):
        draw(3)  # type: ignore[arg-type, unused-ignore]
    with pytest.raises(
        ValueError, match=r"a drawing is a \.png, \.svg, \.pdf or \.dot file, not 'graph\.jpg'"
    ):
        draw(y, tmp_path / "graph.jpg")
    with pytest.raises(ValueError, match=r'layout must be "dot", "layered" or None, not \'neat\''):
        draw(y, layout="neat")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"needs the program dot of Graphviz"):
        draw(y, layout="dot")


def test_a_picture_that_nobody_could_read_is_refused(tmp_path: Path) -> None:
    y = Variable(1.0)
    for _ in range(300):
        y = y * 2
    with pytest.raises(
        ValueError, match=r"601 nodes could not be read \(the limit is 500\).*write a \.dot file"
    ):
        draw(y)
    assert draw(y, tmp_path / "graph.dot").read_text().count("->") == 600


@pytest.mark.parametrize("missing", ["matplotlib", "networkx"])
def test_missing_packages_are_named_with_their_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    for wrong in (lambda: draw(equation_4(), tmp_path / "graph.png"), lambda: equation_4().drawGraph()):
        with pytest.raises(ImportError, match=rf"{missing} is missing: pip install {missing} \("):
            wrong()
    assert list(tmp_path.iterdir()) == []
    assert draw(equation_4(), tmp_path / "graph.dot").exists()


def test_importing_mytorch_imports_no_drawing() -> None:
    import subprocess

    program = "import sys, mytorch.faces.variable; print([m for m in ('matplotlib', 'networkx') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
