"""Fixtures that several test files use."""

import pytest


@pytest.fixture
def one_thread():
    """Torch computes with one thread, so that equal inputs give equal bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
