"""An entry's life. ``state`` is what is, ``plans`` say what to do, ``drivers`` do it."""
