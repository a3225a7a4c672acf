"""Runs tasks of Globus Compute as an endpoint's worker does; the processes of a test import it."""

from __future__ import annotations

from globus_compute_sdk.serialize import ComputeSerializer


def work(task: str) -> str:
    serializer = ComputeSerializer()
    function, args, kwargs = serializer.unpack_and_deserialize(task)
    result: str = serializer.serialize(function(*args, **kwargs))
    return result
