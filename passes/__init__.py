"""Passes within one level: one file = one pass = one class = one lit test, all of one name."""
