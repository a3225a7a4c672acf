"""What to do: to get, load, make room, put, remove, refuse; decided under the lock."""
