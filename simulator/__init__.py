"""
The witness: executes an Ethos-U command stream from its bytes and reports every rule it breaks.

Imports the register map of `npuc.hardware` and nothing else of the compiler.
"""
