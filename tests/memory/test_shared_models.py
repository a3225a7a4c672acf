"""Real models that share weights: adapters over one base, tied weights, mapped checkpoints."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from footprints import Plain
from mapped import folder_on_disk

from warmcache import HostMemoryCache, warm
from warmcache.memory.footprint import footprint
from warmcache.testing import assert_consistent

pytestmark = [
    pytest.mark.models,
    pytest.mark.filterwarnings("ignore"),  # of libraries that are announced to change
]
MiB = 2**20


@pytest.fixture
def torch() -> Any:
    import torch

    return torch


@pytest.fixture
def cache() -> Iterator[HostMemoryCache[Any, Any]]:
    cache: HostMemoryCache[Any, Any] = HostMemoryCache("1GiB", poll=0, confirm=60)
    yield cache
    assert_consistent(cache)


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_on_disk() as found:
        yield found


def base_model() -> Any:
    """Return a small language model with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = dict(hidden_size=64, intermediate_size=128, vocab_size=512, num_hidden_layers=2)
    return LlamaForCausalLM(
        LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=4)
    ).eval()


def over(base: Any, rank: int) -> Any:
    """Return a model with an adapter of its own over the weights of ``base``."""
    from peft import LoraConfig, get_peft_model

    weights = {id(each): each for each in [*base.parameters(), *base.buffers()]}
    return get_peft_model(
        copy.deepcopy(base, weights), LoraConfig(r=rank, target_modules=["q_proj", "v_proj"])
    )


def taken(*values: Any) -> int:
    found = footprint([*values], "cpu")
    return 0 if found is None else found.nbytes


def weights_of(cache: HostMemoryCache[Any, Any]) -> list[float]:
    return [entry.weight for entry in cache.entries()]


def test_adapters_over_one_base_weigh_what_they_take(cache: HostMemoryCache[Any, Any]) -> None:
    @warm(cache=cache)
    def base() -> Any:
        return base_model()

    @warm(cache=cache)
    def adapter(name: str, rank: int) -> Any:
        return over(base(), rank)

    with base.lease() as model:
        whole = taken(model)
        del model
    adapter.warm_up([("a", 4), ("b", 8)])
    values = [entry.value for entry in cache._store.live.values()]
    alone = [taken(each) for each in values]
    weights = weights_of(cache)
    assert [whole, alone[1] - whole, alone[2] - whole] == weights
    assert taken(*values) == sum(weights) < sum(alone)
    values.clear()

    base.evict()  # whose weights the adapters still have
    assert [alone[1], alone[2] - whole] == weights_of(cache)
    adapter.evict("a", 4)
    assert [alone[2]] == weights_of(cache)
    assert (0, 0) == (cache.stats().dying, cache.stats().zombies)
    adapter.evict("b", 8)
    gc.collect()
    cache.expire_now()
    assert 0 == cache._store.ledger.committed


def test_an_adapter_that_is_warm_still_answers_once_its_base_was_evicted(
    torch: Any, cache: HostMemoryCache[Any, Any]
) -> None:
    cache["base"] = base_model()
    cache["adapter"] = over(cache["base"], 4)
    tokens = torch.arange(8)[None]
    with torch.no_grad():
        before = cache["base"](tokens).logits
        del cache["base"]
        assert torch.equal(before, cache["adapter"](tokens).logits), "a new adapter changes nothing"


def test_weights_that_two_entries_tie_are_charged_once(
    torch: Any, cache: HostMemoryCache[Any, Any]
) -> None:
    encoder = torch.nn.Embedding(1000, 64)
    decoder = torch.nn.Linear(64, 1000, bias=False)
    decoder.weight = encoder.weight
    cache["encoder"], cache["decoder"] = encoder, decoder
    cache["a view of them"] = decoder.weight[:10].detach()
    cache["as an array"] = encoder.weight.detach().numpy()
    assert [256_000, 0, 0, 0] == weights_of(cache)
    del encoder, decoder, cache["encoder"]
    assert [256_000, 0, 0] == weights_of(cache)


def test_pipelines_that_share_parts_are_charged_for_each_part_once(
    torch: Any, cache: HostMemoryCache[Any, Any]
) -> None:
    text, image, other = (torch.nn.Linear(100, size, bias=False) for size in (100, 50, 25))
    cache["one"] = Plain(text=text, image=image)
    cache["two"] = Plain(text=text, image=other)
    assert [60_000, 10_000] == weights_of(cache)
    del text, image, other, cache["one"]
    assert [50_000] == weights_of(cache) and 0 == cache.stats().dying


def test_safetensors_that_are_mapped_weigh_nothing(
    torch: Any, cache: HostMemoryCache[Any, Any], folder: Path
) -> None:
    from safetensors.torch import load_file, save_file

    save_file({"a": torch.ones(2**20), "b": torch.ones(2**18)}, folder / "weights.safetensors")

    @warm(cache=cache)
    def load() -> Any:
        return load_file(folder / "weights.safetensors")

    found = load()
    assert [(0, "mapped")] == [(each.weight, each.weighed_by) for each in cache.entries()]
    seen = footprint(found, "cpu")
    assert seen is not None and (0, 5 * MiB) == (seen.nbytes, seen.mapped)
    assert 2**20 + 2**18 == sum(float(each.sum()) for each in found.values())


def test_a_checkpoint_that_torch_maps_weighs_what_was_written_to(
    torch: Any, cache: HostMemoryCache[Any, Any], folder: Path
) -> None:
    torch.save({"a": torch.ones(2**20), "b": torch.ones(2**20)}, folder / "weights.pt")

    @warm(cache=cache)
    def load(name: str) -> Any:
        found = torch.load(folder / "weights.pt", mmap=True)
        if name == "written":
            found["b"] += 1
        return found

    load.warm_up(["read", "written"])
    (read, by), (written, _) = [(each.weight, each.weighed_by) for each in cache.entries()]
    assert (0, "mapped") == (read, by)
    assert 4 * MiB <= written <= 4 * MiB + 2 * 4096, "with what else is on these pages"
