"""The shell's web side: runs the analysts' app, and the guard before Dagster's UI. Everything listens on loopback."""
