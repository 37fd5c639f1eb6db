"""Interpreters: what the operations of a dialect compute, as functions for xDSL's interpreter. One file a dialect."""
