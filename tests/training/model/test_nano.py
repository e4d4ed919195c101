"""The marginal head: SimCC axes that are marginals of one map."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from annotext.training.model.nano import MarginalSimCCHead, NanoUNet  # noqa: E402


def test_the_two_axes_are_the_marginals_of_one_distribution_over_the_map() -> None:
    torch.manual_seed(0)
    head = MarginalSimCCHead(8, 21)
    features = torch.randn(2, 8, 32, 24) * 5
    x, y = head((features,))
    joint = head.final_layer(features).flatten(2).softmax(-1).unflatten(2, (32, 24))
    torch.testing.assert_close(x.softmax(-1), joint.sum(2))
    torch.testing.assert_close(y.softmax(-1), joint.sum(3))


@pytest.mark.parametrize("stride", [2, 4])
def test_the_map_has_one_cell_per_stride(stride: int) -> None:
    net = NanoUNet(channels=(8, 16, 24), blocks=(0, 1, 1), stride=stride)
    (features,) = net(torch.zeros(2, 3, 64, 48))
    assert features.shape == (2, {2: 8, 4: 16}[stride], 64 // stride, 48 // stride)


def test_shifting_the_image_by_a_cell_shifts_the_answer_by_a_bin() -> None:
    # Away from the borders a convolution does not care where it is: that is why the head learns position for free.
    torch.manual_seed(0)
    net = NanoUNet(channels=(8, 16), blocks=(0, 1), stride=4).eval()
    net.attention = torch.nn.Identity()
    head = MarginalSimCCHead(16, 1)
    torch.nn.init.normal_(head.final_layer.weight, std=3.0)
    image = torch.zeros(1, 3, 64, 64)
    image[..., 28:36, 28:36] = torch.randn(3, 8, 8) * 3
    with torch.no_grad():
        here = head(net(image))[0][0, 0]
        there = head(net(image.roll(4, dims=3)))[0][0, 0]
    torch.testing.assert_close(here[5:10], there[6:11], atol=1e-4, rtol=1e-4)
