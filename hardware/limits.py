"""
The largest windows and feature maps of the machine, as vela's checks and the widths of the registers state them
(docs/hardware.md). The simulator has limits of its own, from the streams that prove them.
"""

MAX_STRIDE, MAX_DILATION = 3, 2
"""Largest stride and dilation of a window."""
MAX_BEFORE, MAX_AFTER = 127, 128
"""Rows of padding above, or columns to the left; rows below, or columns to the right."""
CONVOLUTION, POOL = (64, 64 * 64), (256, 256 * 256)
"""Rows, and elements in all, of the largest window of each kind, dilated."""
MAX_EXTENT = 1 << 16
"""Rows, columns or channels of a feature map."""
