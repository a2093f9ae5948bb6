"""Benchmarks: the results of the papers, and speed and memory compared with other libraries."""
