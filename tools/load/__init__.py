"""Fleets of bins and benchmarks."""
