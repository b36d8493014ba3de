"""What ./scripts/bench is made of; see docs/benchmarks.md."""
