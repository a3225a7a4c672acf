"""What happens to the whole process: fork, exit, SIGTERM, and the janitor thread."""
