"""The command stream: the state of the registers, encoding, decoding, printing, and the payload around it."""
