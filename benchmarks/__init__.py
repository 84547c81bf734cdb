"""How fast refactorkit is: `uv run python -m benchmarks` makes every figure from nothing."""
