"""The time from a slider's event to its pixels, in a real JupyterLab: `make bench-widgets`."""
