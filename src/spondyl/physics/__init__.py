"""What the sciences and readers share about magnetic resonance: the signal equations, and how stations join.

Modules are imported by path.
"""
