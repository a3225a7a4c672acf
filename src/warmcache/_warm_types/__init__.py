"""What type checkers see of ``@warm``: of what it takes, and of what it returns."""
