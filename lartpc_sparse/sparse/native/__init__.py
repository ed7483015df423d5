"""Compiled kernels of the CPU engine (src/) and their Python side."""
