"""Watching the node: health, metrics, logs, retention; nothing of it names a patient."""
