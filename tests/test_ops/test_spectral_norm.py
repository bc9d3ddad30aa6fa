import pytest
import torch

from mmdistill.ops import norm_bound, orthonormal


@pytest.mark.parametrize('scale', [1e-12, 1.0, 1e12])
@pytest.mark.parametrize('shape', [(128, 64), (128, 2048), (5, 9), (3, 1)])
def test_never_below_the_norm_and_close_to_it(shape, scale):
    torch.manual_seed(0)
    weight = scale * torch.randn(shape)
    norm = torch.linalg.matrix_norm(weight.double(), 2)
    ratio = float(norm_bound(weight) / norm)
    assert 1 - 1e-5 <= ratio <= min(shape) ** 2**-7 + 1e-5


def test_an_orthogonal_matrix_is_the_worst_case():
    weight = torch.linalg.qr(torch.randn(64, 64).double()).Q
    expected = torch.tensor(64**2**-7).double()
    torch.testing.assert_close(norm_bound(weight), expected)


def test_gradient():
    weight = torch.randn(4, 6).double().requires_grad_()
    assert torch.autograd.gradcheck(norm_bound, weight)


def test_zero():
    weight = torch.zeros(3, 4, requires_grad=True)
    value = norm_bound(weight)
    value.backward()
    assert value > 0 and weight.grad.isfinite().all()


@pytest.mark.parametrize('scale', [1e-12, 1.0, 1e12])
@pytest.mark.parametrize('shape', [(128, 64), (5, 9), (3, 1)])
def test_orthonormal_is_the_polar_factor(shape, scale):
    torch.manual_seed(0)
    weight = scale * torch.randn(shape).double()
    x = orthonormal(weight, iterations=30)
    u, _, v = torch.linalg.svd(weight, full_matrices=False)
    torch.testing.assert_close(x, u @ v, rtol=0, atol=1e-9)


@pytest.mark.parametrize('condition', [1.0, 10.0, 1000.0])
def test_orthonormal_never_lengthens_and_raises_every_direction(condition):
    torch.manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(32, 48), full_matrices=False)
    values = torch.logspace(0, -1, 32, base=condition)
    after = torch.linalg.svdvals(orthonormal((u * values) @ v))
    assert after[0] <= 1 + 1e-5
    assert (after >= values / values[0] * (1 - 1e-4)).all()
    if condition <= 10:
        assert after[-1] > 0.99


def test_orthonormal_of_zero():
    assert not orthonormal(torch.zeros(3, 4)).any()
