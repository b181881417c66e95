"""The face of the library, sync and async, and the one loop behind it."""
