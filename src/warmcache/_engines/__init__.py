"""Running bodies where what they want is warm."""
