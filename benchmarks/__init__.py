"""Side-by-side measurements of the sparse engines: `make bench`, or `python -m benchmarks` from the repository root."""
