"""What NvmlProbe tells, through the real pynvml and a library that is not NVIDIA's."""

from __future__ import annotations

from fakenvml import GIB, FakeNvml

from warmcache.probes import NvmlProbe, Sample


def test_a_sample_is_what_the_driver_says(fake: FakeNvml) -> None:
    card = fake.add(total=80 * GIB, used=10 * GIB, reserved=GIB)
    probe = NvmlProbe(0)
    assert Sample(total=80 * GIB, free=69 * GIB, used=10 * GIB) == probe.sample()
    card.free, card.used = 60 * GIB, 19 * GIB
    assert Sample(total=80 * GIB, free=60 * GIB, used=19 * GIB) == probe.sample()
