"""Blocks of kernels compete by whole schedules, where memories may be quicker than they are taken to be."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp

from npuc.analysis.machine import UNLIMITED, machine_of, places_of, setup_of
from npuc.dialects.npu import AREAS, BlockAttr
from npuc.hardware.parameters import LOW
from npuc.planning.blocks import quickest_blocks
from npuc.planning.network import Network, scheduled_functions
from npuc.planning.schedules import Buffered, Schedules
from npuc.planning.tasks import Works, suitable_block
from npuc.tools.ir import load_module, make_context

POOL = "window <1x1> zero_points <0, 0> activation <-128, 127> : (tensor<1x8x8x4xi8>) -> tensor<1x8x8x4xi8>"
POOLS = f"""
module attributes {{npu.target = #npu.target<"ethos-u65-512", "", "MODE">}} {{
  func.func @pools(%x: tensor<1x8x8x4xi8>) -> (tensor<1x8x8x4xi8>, tensor<1x8x8x4xi8>, tensor<1x8x8x4xi8>)
      attributes {{npu.region}} {{
    %a = npu_schedule.pool max %x {POOL}
    %b = npu_schedule.pool max %x {POOL}
    %c = npu_schedule.pool max %b {POOL}
    func.return %a, %b, %c : tensor<1x8x8x4xi8>, tensor<1x8x8x4xi8>, tensor<1x8x8x4xi8>
  }}
}}
"""


def network_in(mode: str) -> tuple[ModuleOp, Network]:
    module = load_module(make_context(), POOLS.replace("MODE", mode).encode(), "pools", "mlir")
    (function,) = scheduled_functions(module)
    return module, Network(function)


def schedule(module: ModuleOp, network: Network) -> Buffered:
    """What the blocks that stand in the IR come to; none is said to suit better."""
    machine, setup = machine_of(module), setup_of(module)
    tasks = Works(network, machine, setup).of_network()
    return Schedules(AREAS[network.space], machine, setup).quick(tasks, UNLIMITED)


def test_blocks_are_good_by_both_costs() -> None:
    """DRAM holds up small blocks and large ones alike; if it is quicker, larger ones win, and both count."""
    module, network = network_in("Dedicated_Sram")
    machine, setup = machine_of(module), setup_of(module)
    plain = schedule(module, network)
    blocks = quickest_blocks(network, machine, setup, UNLIMITED)
    suiting = {op: suitable_block(op.launch(), op.launch(), machine, setup, places_of(op)) for op in blocks}
    assert blocks != suiting
    for op, block in blocks.items():
        op.block = BlockAttr(block)
    chosen = schedule(module, network)
    assert chosen.score < 0.97 * plain.score
    assert chosen.low < plain.low


def test_blocks_do_not_compete_where_nothing_is_uncertain() -> None:
    """In SRAM alone each kernel keeps the block that suits it."""
    module, network = network_in("Sram_Only")
    setup = setup_of(module)
    assert setup.with_parameters(LOW).constants.read_rate == setup.constants.read_rate
    assert quickest_blocks(network, machine_of(module), setup, UNLIMITED) == {}
