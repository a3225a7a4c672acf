"""Tables as plain text."""

from __future__ import annotations

from warmcache._tables import aligned

ROWS = [("name", "how many", ""), ("a", "7", "yes"), ("longer", "12", "no")]


def test_columns_are_aligned_and_no_line_ends_in_spaces() -> None:
    assert "name    how many\na       7         yes\nlonger  12        no" == aligned(ROWS)


def test_numbers_stand_to_the_right() -> None:
    assert "name    how many\na              7  yes\nlonger        12   no" == aligned(ROWS, left=1)
