"""Sample inventories for the demo, the guides, the tests and the benchmarks."""
