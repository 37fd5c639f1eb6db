"""
What is known of the machine, once: accelerators, memories, SHRAM, registers, weight stream, costs.

Nothing here imports an IR, the compiler or the simulator.
"""
