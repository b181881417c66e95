"""Benchmarks: `python -m tests.benchmarks [NAME …] [--json FILE] [--quick]`. No test asserts a time."""
