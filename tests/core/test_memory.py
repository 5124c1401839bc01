"""What does not fit into memory is refused with advice."""

import pytest
import torch

from mmseg_ddu.core import ClassMoments, GaussianDensity
from mmseg_ddu.core import memory as module


@pytest.fixture
def little(monkeypatch):
    """A machine with 1 GiB left."""
    monkeypatch.setattr(module, 'available_memory', lambda device: 1 << 30)


def test_moments_say_what_they_take(little):
    with pytest.raises(ValueError, match=r"take 31\.2 GiB.*'tied' or 'diag'"):
        ClassMoments(1000, 2048)
    assert ClassMoments(1000, 2048, diagonal=True).scatters.numel()
    assert ClassMoments(1000, 2048, pooled=True).scatters.numel()


def test_precisions_say_what_they_take():
    with pytest.raises(ValueError, match='take 16 GiB. Use a rank'):
        GaussianDensity(1000, 2048)
    for options in (
        dict(covariance_type='tied'),
        dict(covariance_type='diag'),
        dict(rank=64),
    ):
        GaussianDensity(1000, 2048, **options)


def test_available_memory():
    free = module.available_memory()
    assert free is None or free > 1 << 20


def test_what_is_small_is_not_refused(monkeypatch):
    """A pool of the allocator may have it."""
    monkeypatch.setattr(module, 'available_memory', lambda device: 0)
    ClassMoments(19, 512)


def test_what_pytorch_keeps_on_a_gpu_is_free(monkeypatch):
    for name, value in dict(
        memory_reserved=700, memory_allocated=200, mem_get_info=(30, 800)
    ).items():
        monkeypatch.setattr(torch.cuda, name, lambda device, v=value: v)
    assert module.available_memory('cuda') == 530


def test_unknown_memory_is_no_reason_to_refuse(monkeypatch):
    monkeypatch.setattr(module, 'available_memory', lambda device: None)
    module.require_memory(1 << 60, 'Numbers', 'Use fewer.')
    assert torch.zeros(1).numel() == 1
