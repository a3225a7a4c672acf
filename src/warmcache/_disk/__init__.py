"""Results that outlive the process: what is one call, how a value lies in a file, and where."""
