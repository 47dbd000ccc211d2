"""Risk: time to an event and what competes with it, early disease, calibration, explanation; imported by path."""
