"""Carves mazes: a graph of cells becomes the set of passages between them, and a way through."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Mapping

Cell = tuple[int, int]
Graph = Mapping[Cell, list[Cell]]
Passages = set[frozenset[Cell]]
METHODS = ("backtrack", "backtrack", "prim", "kruskal", "mixed")


def square_graph(columns: int, rows: int) -> dict[Cell, list[Cell]]:
    """Return the cells (column, row) of a grid with their neighbours."""
    graph: dict[Cell, list[Cell]] = {}
    for x in range(columns):
        for y in range(rows):
            around = ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1))
            graph[x, y] = [(i, j) for i, j in around if 0 <= i < columns and 0 <= j < rows]
    return graph


def hexagon_graph(columns: int, rows: int) -> dict[Cell, list[Cell]]:
    """Return pointy-top hexagon cells (column, row), odd rows shifted right, with their neighbours."""
    graph: dict[Cell, list[Cell]] = {}
    for x in range(columns):
        for y in range(rows):
            right = x + y % 2
            around = ((x + 1, y), (x - 1, y), (right, y + 1), (right - 1, y + 1), (right, y - 1), (right - 1, y - 1))
            graph[x, y] = [(i, j) for i, j in around if 0 <= i < columns and 0 <= j < rows]
    return graph


def ring_sizes(rings: int) -> list[int]:
    """Return the number of cells of each ring of a round maze, doubling where cells would become wide."""
    sizes = [6]
    for ring in range(2, rings + 1):
        double = 2 * math.pi * (ring + 0.5) / sizes[-1] > 1.8
        sizes.append(sizes[-1] * (2 if double else 1))
    return sizes


def round_graph(rings: int) -> dict[Cell, list[Cell]]:
    """Return the cells (step, ring) of a round maze with their neighbours."""
    sizes = ring_sizes(rings)
    graph: dict[Cell, list[Cell]] = {(step, ring): [] for ring in range(rings) for step in range(sizes[ring])}
    for step, ring in list(graph):
        graph[step, ring] += [((step + 1) % sizes[ring], ring), ((step - 1) % sizes[ring], ring)]
        if ring:
            inner = (step * sizes[ring - 1] // sizes[ring], ring - 1)
            graph[step, ring].append(inner)
            graph[inner].append((step, ring))
    return graph


def _grow(graph: Graph, method: str, rng: random.Random) -> Passages:
    """Grow a tree from one cell: from its newest cell, a random one, or now the one and now the other."""
    start = rng.choice(list(graph))
    seen, active, passages = {start}, [start], set()
    while active:
        newest = method == "backtrack" or (method == "mixed" and rng.random() < 0.7)
        index = len(active) - 1 if newest else rng.randrange(len(active))
        cell = active[index]
        fresh = [other for other in graph[cell] if other not in seen]
        if fresh:
            other = rng.choice(fresh)
            seen.add(other)
            active.append(other)
            passages.add(frozenset((cell, other)))
        else:
            active.pop(index)
    return passages


def _join(graph: Graph, rng: random.Random) -> Passages:
    """Join separate cells at random until all hang together (Kruskal)."""
    group = {cell: cell for cell in graph}

    def root(cell: Cell) -> Cell:
        while group[cell] != cell:
            group[cell] = group[group[cell]]
            cell = group[cell]
        return cell

    edges = [(cell, other) for cell in graph for other in graph[cell] if cell < other]
    rng.shuffle(edges)
    passages = set()
    for cell, other in edges:
        if root(cell) != root(other):
            group[root(cell)] = root(other)
            passages.add(frozenset((cell, other)))
    return passages


def carve(graph: Graph, rng: random.Random, loops: float = 0.0) -> Passages:
    """Return the passages of a random maze that reaches every cell; `loops` opens a share of further walls."""
    method = rng.choice(METHODS)
    passages = _join(graph, rng) if method == "kruskal" else _grow(graph, method, rng)
    if loops:
        for cell in graph:
            passages |= {frozenset((cell, other)) for other in graph[cell] if rng.random() < loops / 2}
    return passages


def solve(graph: Graph, passages: Passages, start: Cell, goal: Cell) -> list[Cell]:
    """Return the cells of a shortest way from start to goal."""
    before: dict[Cell, Cell] = {start: start}
    queue = deque([start])
    while queue and goal not in before:
        cell = queue.popleft()
        for other in graph[cell]:
            if other not in before and frozenset((cell, other)) in passages:
                before[other] = cell
                queue.append(other)
    path = [goal]
    while path[-1] != start:
        path.append(before[path[-1]])
    return path[::-1]
