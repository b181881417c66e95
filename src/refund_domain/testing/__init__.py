"""What the library proves itself with, for hosts and their adapters. Needs the extra `testing` (Hypothesis).

`strategies`: a Hypothesis strategy for every public value.
"""
