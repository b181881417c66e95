"""A seeded simulator of the shipped loop: the async service, driven by hand, over a bank in memory, under faults.

One thread, no real time, no network: the same seed always gives the same run. `run.run_seed` runs one seed,
`python -m refund_adapters.simulation` many; `exhaustive` and `crashes` try every point of a small world.
"""
