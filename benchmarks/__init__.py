"""Measurements: speed beside yardsticks, and the tables of the papers."""
