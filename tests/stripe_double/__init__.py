"""A double of Stripe: an HTTP face over the bank in memory (see `double.StripeDouble`)."""
