"""npu-opt starts without what only some runs need."""

import subprocess
import sys

SCRIPT = """
import io, sys
sys.stdin = io.TextIOWrapper(io.BytesIO(b'''
func.func @f(%a: tensor<4x!quant.uniform<i8:f32, 0.5>>) {
  %b = tfl.relu %a : (tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>>
  return
}
'''))
from npuc.tools.npu_opt import main
assert main(["-p", "tfl-partition", "-o", "/dev/null"]) == 0
print(*(name for name in ("numpy", "flatbuffers", "ai_edge_litert", "npuc.dialects.tosa") if name in sys.modules))
"""


def test_nothing_heavy_is_imported() -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == ""
