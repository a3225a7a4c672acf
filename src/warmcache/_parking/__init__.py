"""How the bytes of a value leave its device and come back, while the object stays the same."""
