"""Replaying a recorded trace, and what to take by it."""
