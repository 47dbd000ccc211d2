"""Proof: how good a result is, how sure that is, and how it compares. Modules are imported by path."""
