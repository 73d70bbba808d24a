"""Sample inventories: what the demo, the guides, the tests and the benchmarks import."""
