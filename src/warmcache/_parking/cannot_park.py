"""What is raised where a value cannot be parked."""

from __future__ import annotations


class CannotPark(Exception):  # noqa: N818  # it is no failure: what cannot be parked is torn down
    """A value cannot be parked, and is as it was; its text says why, for people."""
