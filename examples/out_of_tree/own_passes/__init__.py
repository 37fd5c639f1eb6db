"""Passes for npuc."""
