"""Doing it, without the lock: in threads and on event loops, to the last reference."""
