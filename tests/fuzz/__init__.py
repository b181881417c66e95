"""Coverage-guided fuzzing, for the campaign: `python -m tests.fuzz.webhooks`. The gate has Hypothesis for it."""
