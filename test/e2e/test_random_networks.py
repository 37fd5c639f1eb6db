"""
Random networks on random machines: exact, within the limit, or within the smallest one that a refusal names.

The normal suite takes the same few each time, a nightly run thousands of fresh ones. `bench/random_networks.py` runs a
seed that failed again (`--seeds 17:18`), or a range of seeds with a summary.
"""

from __future__ import annotations

import check_network
import numpy as np
import pytest
from check_network import HAS_LITERT
from make_models import operator_names
from network import Network
from property_tests import seeds
from random_network import wild_network

from npuc.tools.errors import UserError
from npuc.tools.npu_compile import Compiled, compile_tflite
from npuc.tools.pipeline import Target

NETWORKS = 30


def test_random_networks(record_property) -> None:
    outcomes = [check_network.check_network(seed) for seed in seeds(NETWORKS)]
    wrong = [str(one) for one in outcomes if not one.passed]
    assert not wrong, "\n".join(wrong)
    compared, run = sum(one.comparisons for one in outcomes), sum(one.kind == "exact" for one in outcomes)
    reference = "LiteRT" if HAS_LITERT else "the plain schedule"
    record_property("compared", f"random networks: {compared} arrays of {run} networks equal to {reference}'s")
    # Without LiteRT, networks with operators for the host, up to two thirds, cannot be run.
    assert run == len(outcomes) if HAS_LITERT else run >= len(outcomes) // 4
    assert compared >= 2 * run
    assert sum(one.npu_operators for one in outcomes) >= 3 * len(outcomes)


def test_random_networks_have_what_they_are_made_for() -> None:
    """The same seed gives the same bytes; all operators occur, and each machine with and without a limit."""
    networks = [wild_network(seed) for seed in range(150)]
    assert networks[17] == wild_network(17)
    assert len(set(networks)) == len(networks)
    names = {name for data in networks for name in operator_names(data)}
    assert names >= set(
        """ABS ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEQUANTIZE EXPAND_DIMS FULLY_CONNECTED GATHER
        HARD_SWISH LEAKY_RELU LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL PAD QUANTIZE RELU RELU6 RELU_N1_TO_1 RESHAPE
        RESIZE_NEAREST_NEIGHBOR REVERSE_V2 SLICE SOFTMAX SPLIT SQUEEZE STRIDED_SLICE SUB TANH TRANSPOSE
        TRANSPOSE_CONV""".split()
    )


def _convolution(shift: int) -> bytes:
    n = Network(3)
    y = n.conv(n.input((1, 6, 6, 4)), 8)
    weights = n.ops[0].inputs[1]
    assert weights is not None
    assert weights.data is not None
    weights.data = np.roll(weights.data, shift)
    return n.model(y).to_bytes()


def test_a_wrong_output_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = [compile_tflite(_convolution(shift)) for shift in (1, 0)]
    monkeypatch.setattr(check_network, "compile_tflite", lambda *_, **__: compiled.pop(0))
    assert check_network.check(_convolution(0), 0, Target(), None, frozenset()).kind.startswith("differs")


def test_a_limit_that_does_not_work_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(data: bytes, target: Target, **options: str) -> Compiled:
        if target.limit is not None:
            raise UserError("the limit is 16 bytes of SRAM, the smallest found to work is 64")
        return compile_tflite(data, target, **options)

    monkeypatch.setattr(check_network, "compile_tflite", compiled)
    outcome = check_network.check(_convolution(0), 0, Target(), 0.1, frozenset())
    assert outcome.kind == "the limit that was named is refused"
