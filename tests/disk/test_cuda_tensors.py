"""A tensor on a GPU: where it belongs in another process, only its loader knows."""

from __future__ import annotations

import pytest

from warmcache._disk.codecs import coder_for, why_not


@pytest.mark.gpu
def test_a_tensor_on_a_gpu_is_not_kept() -> None:
    import torch

    tensor = torch.ones(2, device="cuda")
    assert coder_for({"a": tensor}) is None
    assert "result['a']: torch.Tensor on cuda" in str(why_not({"a": tensor}))
