"""What an account holds and pays out: what is in progress, and what a finished payout was made of."""
