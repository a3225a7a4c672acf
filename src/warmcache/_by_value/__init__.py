"""How a loader travels to another process, and which loader it meets there."""
