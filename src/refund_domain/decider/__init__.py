"""What happened to the refunds of one payment, and what follows from it: pure functions, no clock, no I/O."""
