"""
Weight and scale streams: the order, the compressed coding and its search, and the scale entries.

NumPy only. docs/weights.md explains the format and how the search decides.
"""

from npuc.hardware.weights.encoder import Request, encode, encoded_sizes
from npuc.hardware.weights.order import WeightOrder
from npuc.hardware.weights.scales import encode_scales, scales_problem

__all__ = ["Request", "WeightOrder", "encode", "encode_scales", "encoded_sizes", "scales_problem"]
