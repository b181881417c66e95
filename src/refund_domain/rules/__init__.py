"""The rules R1 to R9, one pure function each."""
