"""What ``@warm`` makes of a function, method or class, and what a call of it does."""
