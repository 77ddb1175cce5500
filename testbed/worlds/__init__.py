"""Worlds that tests, demo and benchmarks play in on the test cluster: fleets, their figures, and what watches them."""
