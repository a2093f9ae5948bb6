"""RealNVP on the plane beside four libraries, and on digits: `python -m benchmarks.realnvp`."""
