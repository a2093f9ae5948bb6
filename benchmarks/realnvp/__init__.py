"""RealNVP on the plane beside four other libraries, and on digits: `python -m benchmarks.realnvp`."""
