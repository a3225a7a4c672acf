"""Sentences to embed: pairs that say nearly the same, each pair on a subject of its own."""

from __future__ import annotations

import random

PAIRS = (
    (
        "The ship left the harbour at dawn.",
        "A boat sailed out of the port early in the morning.",
    ),
    (
        "She baked a loaf of bread in the oven.",
        "The baker took fresh bread out of the oven.",
    ),
    (
        "Astronomers found a planet around a distant star.",
        "A new planet was discovered orbiting a faraway star.",
    ),
    (
        "The orchestra played a symphony by Mozart.",
        "Musicians performed a long piece of classical music.",
    ),
    (
        "The doctor listened to the patient's heart.",
        "A physician examined the heartbeat of a sick man.",
    ),
    (
        "The bank raised its interest rates.",
        "Borrowing money from the bank became more expensive.",
    ),
    (
        "The striker scored in the last minute of the match.",
        "A late goal decided the football game.",
    ),
    (
        "Heavy rain flooded the streets of the town.",
        "The town's roads were under water after the rainstorm.",
    ),
    (
        "The cat is sleeping on the sofa.",
        "A kitten naps on the couch.",
    ),
    (
        "The programmer fixed a bug in the software.",
        "A developer repaired an error in the program's code.",
    ),
    (
        "The train to Paris was two hours late.",
        "We waited a long time at the station for the delayed train.",
    ),
    (
        "He planted roses in the garden.",
        "The gardener put new flowers into the soil.",
    ),
)


def draw(chance: random.Random) -> tuple[str, str, str]:
    """Return a sentence, one that is near to it, and one that is far from both."""
    subject, other = chance.sample(range(len(PAIRS)), 2)
    sentence, near = chance.sample(PAIRS[subject], 2)
    return sentence, near, chance.choice(PAIRS[other])
