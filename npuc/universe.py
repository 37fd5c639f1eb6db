"""What stock `xdsl-opt` and `xdsl-gui` see of npuc: every dialect and pass but `tosa`, whose name xDSL owns."""

from xdsl.universe import Universe

from npuc.dialects import all_dialects
from npuc.registry import all_passes

UNIVERSE = Universe(
    all_dialects={name: factory for name, factory in all_dialects().items() if name != "tosa"},
    all_passes=all_passes(),
)
