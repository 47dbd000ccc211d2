"""What the sciences share about magnetic resonance: the signal equations. Modules are imported by path."""
