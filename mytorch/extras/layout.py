"""A layered layout of directed acyclic graphs, left to right, for boxes of given sizes.

The classical four steps (Sugiyama, Tagawa & Toda, 1981; Gansner et al., *A technique for drawing directed graphs*,
1993): every node gets a layer, edges bend in the layers that they pass, layers are ordered so that few edges cross,
and coordinates are as near to the neighbours' as the sizes allow.  Between two layers of nodes lies one for the
labels of edges, so that nothing can overlap: not nodes, not labels, not an edge and a node that it passes.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import networkx as nx

Point: TypeAlias = "tuple[float, float]"
Size: TypeAlias = "tuple[float, float]"
BESIDE, BETWEEN = 16.0, 12.0  # points between neighbours in a layer, and between layers


class Edge(NamedTuple):
    """An edge and the size of its label."""

    source: Hashable
    target: Hashable
    label: Size = (0.0, 0.0)


class Layout(NamedTuple):
    """Centres of the nodes, and for every edge a path of points for cubic curves, and the centre of its label."""

    nodes: dict[Hashable, Point]
    paths: list[list[Point]]
    labels: list[Point]


class _Grid:
    """Items (nodes, and bends of edges) in layers, and the links between items of neighbouring layers."""

    def __init__(self, sizes: Mapping[Hashable, Size], edges: Sequence[Edge]) -> None:
        layer = _layers(sizes, edges)
        self.layers: list[list[int]] = [[] for _ in range(2 * max(layer.values(), default=0) + 1)]
        self.layer: list[int] = []
        self.sizes: list[Size] = []
        self.before: list[list[int]] = []
        self.after: list[list[int]] = []
        self.bend: list[bool] = []
        self.items = {node: self._add(2 * layer[node], size, False) for node, size in sizes.items()}
        self.chains = [self._chain(edge) for edge in edges]
        self.parallel = Counter((chain[0], chain[-1]) for chain in self.chains)

    def _add(self, layer: int, size: Size, bend: bool) -> int:
        item = len(self.layer)
        self.layer.append(layer)
        self.sizes.append(size)
        self.before.append([])
        self.after.append([])
        self.bend.append(bend)
        self.layers[layer].append(item)
        return item

    def _chain(self, edge: Edge) -> list[int]:
        """Return the items that an edge passes: one bend per layer, of which the first carries the label."""
        chain = [self.items[edge.source]]
        end = self.items[edge.target]
        for layer in range(self.layer[chain[0]] + 1, self.layer[end]):
            size = edge.label if len(chain) == 1 else (0.0, 0.0)
            chain.append(self._add(layer, size, True))
        chain.append(end)
        for a, b in pairwise(chain):
            self.after[a].append(b)
            self.before[b].append(a)
        return chain


def layered(sizes: Mapping[Hashable, Size], edges: Sequence[Edge]) -> Layout:
    """Return a layout in points, y upwards, of nodes of the given sizes (width, height).

    Parameters
    ----------
    sizes : per node its size, in the order in which nodes were computed
    edges : in the order of the arguments of their targets
    """
    grid = _Grid(sizes, edges)
    _order(grid)
    y = _heights(grid)
    x = _columns(grid, y)
    widths = [max((grid.sizes[item][0] for item in layer), default=0.0) for layer in grid.layers]
    centres = [(x[grid.layer[item]], y[item]) for item in range(len(y))]
    return Layout(
        {node: centres[item] for node, item in grid.items.items()},
        [_path(chain, grid, centres, widths) for chain in grid.chains],
        [centres[chain[1]] for chain in grid.chains],
    )


def _layers(sizes: Mapping[Hashable, Size], edges: Sequence[Edge]) -> dict[Hashable, int]:
    """Return a layer for every node: after all that it needs; inputs stand right before their first use."""
    graph = nx.DiGraph()
    graph.add_nodes_from(sizes)
    graph.add_edges_from((edge.source, edge.target) for edge in edges)
    layer = {node: i for i, generation in enumerate(nx.topological_generations(graph)) for node in generation}
    for node in graph:
        if not graph.pred[node] and graph.succ[node]:
            layer[node] = min(layer[user] for user in graph.succ[node]) - 1
    return layer


# -- the order within layers -----------------------------------------------------------------------------------


def _order(grid: _Grid, rounds: int = 16) -> None:
    """Order every layer by the mean position of what its items are linked to, back and forth; keep the best."""
    _depth_first(grid)
    best, fewest = [list(layer) for layer in grid.layers], _crossings(grid)
    for i in range(rounds):
        step, links = (-1, grid.before) if i % 2 == 0 else (1, grid.after)
        for k in range(len(grid.layers))[::-step]:
            _sort_by_neighbours(grid, k, step, links)
        crossings = _crossings(grid)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in grid.layers], crossings
    grid.layers = best


def _depth_first(grid: _Grid) -> None:
    """Order the layers as a walk from the results meets the items: arguments in their order, top to bottom."""
    met: dict[int, None] = {}
    waiting = [item for item in range(len(grid.layer)) if not grid.after[item]]
    while waiting:
        item = waiting.pop()
        if item not in met:
            met[item] = None
            waiting.extend(reversed(grid.before[item]))
    place = {item: i for i, item in enumerate(met)}
    for layer in grid.layers:
        layer.sort(key=place.__getitem__)


def _sort_by_neighbours(grid: _Grid, k: int, step: int, links: list[list[int]]) -> None:
    """Sort layer `k` by the barycentre of the `links` to layer `k + step`; items without any stay in place."""
    layer = grid.layers[k]
    beside = grid.layers[k + step] if 0 <= k + step < len(grid.layers) else []
    position = {item: i for i, item in enumerate(beside)}
    movable = [item for item in layer if links[item]]
    movable.sort(key=lambda item: sum(position[other] for other in links[item]) / len(links[item]))
    following = iter(movable)
    grid.layers[k] = [next(following) if links[item] else item for item in layer]


def _crossings(grid: _Grid) -> int:
    """Count the crossings of links between neighbouring layers."""
    position = {item: i for layer in grid.layers for i, item in enumerate(layer)}
    crossings = 0
    for layer in grid.layers:
        ends: list[int] = []
        for item in layer:
            places = sorted(position[other] for other in grid.after[item])
            crossings += sum(len(ends) - bisect_right(ends, place) for place in places)
            for place in places:
                insort(ends, place)
    return crossings


# -- coordinates -----------------------------------------------------------------------------------------------


def _heights(grid: _Grid, rounds: int = 40) -> list[float]:
    """Return y of every item: in the given order with room for its size, and near what it is linked to."""
    y = [0.0] * len(grid.layer)
    both = [before + after for before, after in zip(grid.before, grid.after, strict=True)]
    for i in range(rounds):
        forwards = i % 2 == 0
        links = both if i >= rounds // 2 else grid.before if forwards else grid.after
        for layer in grid.layers[:: 1 if forwards else -1]:
            desired, weights = [], []
            for item in layer:
                pulls = [(y[other], _pull(grid, item, other)) for other in links[item]]
                weight = sum(w for _, w in pulls)
                desired.append(sum(at * w for at, w in pulls) / weight if weight else y[item])
                weights.append(weight or 1e-3)
            for item, at in zip(layer, _spread(grid, layer, desired, weights), strict=True):
                y[item] = at
    _straighten(grid, y)
    return y


def _straighten(grid: _Grid, y: list[float], rounds: int = 3) -> None:
    """Put neighbouring bends of an edge on one level, as far as there is room for it."""
    place = {item: (layer, i) for layer in grid.layers for i, item in enumerate(layer)}
    for chain in sorted(grid.chains, key=len, reverse=True) * rounds:
        run: list[int] = []
        low, high = -math.inf, math.inf
        for bend in chain[1:-1]:
            layer, i = place[bend]
            least = y[layer[i + 1]] + _apart(grid, bend, layer[i + 1]) if i + 1 < len(layer) else -math.inf
            most = y[layer[i - 1]] - _apart(grid, layer[i - 1], bend) if i > 0 else math.inf
            if max(low, least) > min(high, most):
                _level(run, y, low, high)
                run, low, high = [], -math.inf, math.inf
            run.append(bend)
            low, high = max(low, least), min(high, most)
        _level(run, y, low, high)


def _level(run: list[int], y: list[float], low: float, high: float) -> None:
    """Put the items of `run` on their mean level, within bounds."""
    level = min(max(sum(y[item] for item in run) / max(len(run), 1), low), high)
    for item in run:
        y[item] = level


def _apart(grid: _Grid, a: int, b: int) -> float:
    """Return how far apart the middles of two neighbours in a layer have to be."""
    gap = BESIDE / 2 if grid.bend[a] and grid.bend[b] else BESIDE
    return gap + (grid.sizes[a][1] + grid.sizes[b][1]) / 2


def _pull(grid: _Grid, a: int, b: int) -> float:
    """Return how much a link wants to be level: most between two bends."""
    return (1.0, 3.0, 8.0)[grid.bend[a] + grid.bend[b]]


def _spread(grid: _Grid, layer: list[int], desired: list[float], weights: list[float]) -> list[float]:
    """Return the positions nearest to `desired`, downwards in this order, that keep neighbours apart.

    With each item's distance from the top taken off, order is all that is asked: an isotonic regression, solved by
    pooling neighbours that are out of order.
    """
    offsets = [0.0]
    for a, b in pairwise(layer):
        offsets.append(offsets[-1] + _apart(grid, a, b))
    pools: list[list[float]] = []  # mean, weight, count
    for wish, offset, weight in zip(desired, offsets, weights, strict=True):
        pools.append([-wish - offset, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, total, count = pools.pop()
            last = pools[-1]
            last[0] = (last[0] * last[1] + mean * total) / (last[1] + total)
            last[1] += total
            last[2] += count
    levels = [mean for mean, _, count in pools for _ in range(int(count))]
    return [-(level + offset) for level, offset in zip(levels, offsets, strict=True)]


def _columns(grid: _Grid, y: list[float]) -> list[float]:
    """Return x of the middle of every layer; layers with steep links between them stand farther apart."""
    x, right = [], 0.0
    for k, layer in enumerate(grid.layers):
        steepest = max(
            (abs(y[item] - y[other]) for item in layer for other in grid.before[item]), default=0.0
        )
        width = max((grid.sizes[item][0] for item in layer), default=0.0)
        left = right + (max(BETWEEN, 0.2 * steepest) if k else 0.0)
        x.append(left + width / 2)
        right = left + width
    return x


def _path(chain: list[int], grid: _Grid, centres: list[Point], widths: list[float]) -> list[Point]:
    """Return the control points of an edge: level across every layer, a cubic curve from layer to layer.

    Layers without width, where no label is, are passed over, unless parallel edges have to be told apart there.
    """
    ends = {chain[0], chain[-1]}
    parallel = grid.parallel[chain[0], chain[-1]] > 1
    path: list[Point] = []
    for item in chain:
        (x, y), half = centres[item], widths[grid.layer[item]] / 2
        if half == 0 and item not in ends and not parallel:
            continue
        own = grid.sizes[item][0] / 2
        left = x + own if item == chain[0] else x - half
        right = x - own if item == chain[-1] else x + half
        path += _curve(path[-1], (left, y)) if path else [(left, y)]
        if left != right:
            path += _curve((left, y), (right, y))
    return path


def _curve(start: Point, end: Point) -> list[Point]:
    """Return the control points of a cubic curve that leaves `start` and reaches `end` level."""
    middle = (start[0] + end[0]) / 2
    return [(middle, start[1]), (middle, end[1]), end]
