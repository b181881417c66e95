"""For those who run it: reconciling, bulk, health, erasure."""
