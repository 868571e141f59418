"""Where a network that is only evaluated is placed, and in which number format."""

import pytest
import torch

import molgen.device
from molgen.device import place
from molgen.errors import InputError


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_linear_layers_take_the_format_of_the_device_and_the_others_keep_theirs(monkeypatch, dtype):
    asked = []
    monkeypatch.setattr(molgen.device, "network_dtype", lambda device_type: (asked.append(device_type), dtype)[1])
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Sequential(torch.nn.LayerNorm(3)))
    place(network, "meta")
    assert asked == ["meta"] and {tensor.device.type for tensor in network.parameters()} == {"meta"}
    formats = {name: tensor.dtype for name, tensor in network.named_parameters()}
    assert formats == {"0.weight": dtype, "0.bias": dtype, "1.0.weight": torch.float32, "1.0.bias": torch.float32}


def test_a_network_can_be_placed_anew_in_another_format(monkeypatch):
    network = torch.nn.Linear(2, 3)
    monkeypatch.setattr(molgen.device, "network_dtype", lambda _: torch.bfloat16)
    place(network, "cpu")
    monkeypatch.setattr(molgen.device, "network_dtype", lambda _: torch.float32)
    place(network, torch.device("cpu"))
    assert network.weight.dtype == torch.float32
    with torch.inference_mode():
        assert network(torch.ones(1, 2)).dtype == torch.float32


def test_the_precision_can_be_told(monkeypatch):
    try:
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
            monkeypatch.setenv("MOLGEN_PRECISION", name)
            molgen.device.network_dtype.cache_clear()
            assert molgen.device.network_dtype("cpu") == dtype
        monkeypatch.setenv("MOLGEN_PRECISION", "float16")
        molgen.device.network_dtype.cache_clear()
        with pytest.raises(InputError, match="float32 or bfloat16, got 'float16'"):
            molgen.device.network_dtype("cpu")
    finally:
        monkeypatch.undo()
        molgen.device.network_dtype.cache_clear()
