"""What is: entries, loads under way, the ledger, the order; and the only lock."""
