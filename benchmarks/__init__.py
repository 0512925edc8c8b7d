"""Benchmarks: what itb costs, beside the tools it is to be compared with. ``python -m benchmarks [NAME ...]``."""
