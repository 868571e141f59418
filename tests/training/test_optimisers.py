import torch

from molgen.training.optimisers import Muon, orthogonalised


def test_the_update_is_nearly_orthogonal_whatever_the_shape():
    generator = torch.Generator().manual_seed(0)
    for shape in ((3, 8, 8), (2, 6, 20), (2, 20, 6)):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(shape, generator=generator)))
        assert values.min() > 0.5 and values.max() < 1.3


def test_steps_are_those_of_torch():
    """torch's own computes in bfloat16, so that the updates agree to some per cent."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(12, 30, generator=generator)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    mine = Muon([ours], 0.02, weight_decay=0.1)
    torchs = torch.optim.Muon([theirs], 0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        gradient = torch.randn(12, 30, generator=generator)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        torchs.step()
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.05 * moved
    assert torch.allclose(
        mine.state[ours]["momentum_buffer"], torchs.state[theirs]["momentum_buffer"], rtol=1e-4, atol=1e-6
    )
