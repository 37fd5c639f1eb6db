"""
The processor beside the NPU, as far as the compiler has to know it: what it costs to hand work over.

Nobody publishes it. The figure is an estimate for a Cortex-M with Arm's driver: the operands are cleaned from the
cache, the driver checks the payload, writes the registers and waits for the interrupt, the results are invalidated. A
system with a mailbox or Linux between takes several times as long, so that the estimate errs on the side of the NPU.
"""

ROUND_TRIP_CYCLES = 5000
"""What one invocation of the NPU costs the host, in its own cycles, whatever the NPU does."""
