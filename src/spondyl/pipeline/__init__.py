"""The road of one patient: settings, one explicit table of steps, the run, and the methods text."""
