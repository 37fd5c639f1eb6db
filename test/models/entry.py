"""One test model before it is written to disk."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Entry:
    """
    `cpu` are the indices of the operators of the main subgraph that may stay on the CPU; all others must be on the
    NPU. `twin` is the file whose LiteRT outputs are the golden ones, where LiteRT refuses `data` itself over
    something that changes no value; `golden=False` where nothing can run it. `samples` are real inputs (by case,
    then by input) to try beside the usual ones.
    """

    name: str
    data: bytes
    about: str
    cpu: Collection[int] = ()
    twin: bytes | None = None
    golden: bool = True
    samples: Sequence[Sequence[np.ndarray]] = ()
