"""RealNVP on the plane, compared with four other libraries, and on digits: `python -m benchmarks.realnvp`."""
