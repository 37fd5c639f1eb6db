"""
Sparse constants of a TFLite file: what their descriptions mean, and the same constants dense.

A sparse tensor is a tree. Its levels are the dimensions in an order of their own, those of the blocks behind those of
the tensor: `traversal_order`. Where a dimension is cut into blocks, `block_map` says which, its level counts blocks and
a level of its own counts the elements within. A dense level has all its children; a sparse one has, for each node
above, those whose indices stand between two segments. The values are the leaves, from the first to the last; all else
is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from npuc.lowering.tflite.tflite_schema import Table, TFLiteError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LARGEST = 1 << 30
"""Bytes of a tensor: a few bytes of a file could ask for any amount of memory."""


def dense(data: bytes, sparsity: Table, shape: Sequence[int], element_size: int) -> bytes:
    """
    The bytes of the tensor of this shape, row by row, whose values other than zero are in `data`.

    Raises TFLiteError, which does not name the tensor, where its description does not fit.
    """
    import numpy as np

    places = positions(sparsity, shape, element_size)
    if len(places) * element_size != len(data):
        raise TFLiteError(f"its buffer holds {len(data)} bytes for {len(places)} values")
    filled = np.zeros((prod(shape), element_size), np.uint8)
    filled[places] = np.frombuffer(data, np.uint8).reshape(-1, element_size)
    return filled.tobytes()


def positions(sparsity: Table, shape: Sequence[int], element_size: int = 1) -> NDArray[np.int64]:
    """
    Where the values that are stored stand in the tensor of this shape, row by row, in elements.

    Raises TFLiteError, which does not name the tensor, where its description does not fit.
    """
    import numpy as np

    rank = len(shape)
    order: Sequence[int] = sparsity["traversal_order"] or ()
    block_map: Sequence[int] = sparsity["block_map"] or ()
    levels: Sequence[Table] = sparsity["dim_metadata"] or ()
    if min(shape, default=0) < 0 or prod(shape) * element_size > LARGEST:
        raise TFLiteError(f"a sparse constant of shape {list(shape)} is not supported")
    dimensions = rank + len(block_map)
    if sorted(order[:rank]) != list(range(rank)) or sorted(order) != list(range(dimensions)):
        raise TFLiteError(f"its traversal order {list(order)} does not name {dimensions} dimensions, blocks last")
    if len(levels) != dimensions or any(axis not in range(rank) for axis in block_map):
        raise TFLiteError(f"{len(levels)} descriptions of dimensions do not fit blocks of {list(block_map)}")
    if list(block_map) != sorted(set(block_map)):  # LiteRT looks for them in this order
        raise TFLiteError(f"its blocks of dimensions {list(block_map)} do not stand in the order of these")
    sizes = _sizes(shape, order, block_map, levels)

    nodes = np.zeros(1, np.int64)
    coordinates: dict[int, NDArray[np.int64]] = {}
    for dimension, level in zip(order, levels, strict=True):
        size = sizes[dimension]
        if level["format"] == "DENSE":
            parents = np.repeat(np.arange(len(nodes)), size)
            at = np.tile(np.arange(size), len(nodes))
            nodes = nodes[parents] * size + at
        else:
            parents, nodes, at = _children(level, nodes, size)
        coordinates = {known: values[parents] for known, values in coordinates.items()}
        coordinates[dimension] = at
    for block, axis in enumerate(block_map):
        coordinates[axis] = coordinates[axis] * sizes[rank + block] + coordinates[rank + block]
    places = np.zeros(len(nodes), np.int64)
    for axis, size in enumerate(shape):
        places = places * size + coordinates[axis]
    return places


def _sizes(
    shape: Sequence[int], order: Sequence[int], block_map: Sequence[int], levels: Sequence[Table]
) -> dict[int, int]:
    """How many indices each dimension has, those of blocks behind those of the tensor; checks what dense levels say."""
    rank = len(shape)
    sizes = dict(enumerate(shape))
    said = {dimension: level["dense_size"] for dimension, level in zip(order, levels, strict=True)}
    for block, axis in enumerate(block_map):
        size = said[rank + block]
        if size <= 0 or shape[axis] % size:
            raise TFLiteError(f"dimension {axis} of {shape[axis]} is not made of blocks of {size}")
        sizes[rank + block] = size
        sizes[axis] = shape[axis] // size
    for dimension, level in zip(order, levels, strict=True):
        if level["format"] == "DENSE" and level["dense_size"] != sizes[dimension]:
            raise TFLiteError(f"dense dimension {dimension} has {level['dense_size']} indices, not {sizes[dimension]}")
    return sizes


def _children(
    level: Table, nodes: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The children of nodes in a sparse level: the position of the node above, their own number, and their index."""
    import numpy as np

    segments, indices = (
        np.array(tuple(level[name][1]["values"] or ()) if level[name] is not None else (), np.int64)
        for name in ("array_segments", "array_indices")
    )
    wrong = (
        (len(nodes) and nodes.max() + 1 >= len(segments))
        or (np.diff(segments) < 0).any()
        or (len(segments) and (segments[0] < 0 or segments[-1] > len(indices)))
        or ((indices < 0) | (indices >= size)).any()
    )
    if wrong:
        raise TFLiteError("the segments and indices of a sparse dimension do not fit")
    starts = segments[nodes] if len(nodes) else nodes
    counts = (segments[nodes + 1] if len(nodes) else nodes) - starts
    parents = np.repeat(np.arange(len(nodes)), counts)
    numbers = starts[parents] + np.arange(len(parents)) - (np.cumsum(counts) - counts)[parents]
    return parents, numbers, indices[numbers]
