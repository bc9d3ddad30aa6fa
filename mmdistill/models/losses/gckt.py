from __future__ import annotations

from torch import Tensor
from torch.nn.utils.parametrizations import spectral_norm

from mmdistill.models.losses.crd import CRDLoss, is_score
from mmdistill.ops import all_reduce_mean
from mmdistill.registry import MODELS


@MODELS.register_module()
class GCKTLoss(CRDLoss):
    """WCoRD's global part: the dual form of a Wasserstein distance.

    CRD's banks, sampling and two sides, with a critic that spectral
    normalisation makes 1-Lipschitz. The equations (11) and (13) of the paper
    are not in its supplement; this is our reading:

    - ``form='nce'``: the noise-contrastive objective of `CRDLoss`,
      E_pos[log g] + sum_K log(1 - g), with g = (e^s / Z) / (e^s / Z + K / n);
    - ``form='wasserstein'``: mean_pos <u, v> - mean_neg <u, v>.

    The objective is maximised: the loss is its negative, added over both
    sides.

    Paper: Chen et al., Wasserstein Contrastive Representation Distillation,
    CVPR 2021, supplement (seed 002_77988714efc8ae01.txt), Algorithm 1.

    Args:
        student_dim, teacher_dim: widths; the distiller fills them in.
        form: 'nce' or 'wasserstein'.
        loss_weight: lambda_1; 0.8 is best in Table 2.
        The others are as of `CRDLoss`.
    Shape:
        as of `CRDLoss`.
    Raises:
        ValueError: for another form.
    Config:
        losses=dict(gckt=dict(type='GCKTLoss', loss_weight=0.8),
                    lckt=dict(type='LCKTLoss', loss_weight=0.05))
    """

    def __init__(
        self,
        student_dim: int,
        teacher_dim: int,
        embed_dim: int = 128,
        num_samples: int | None = None,
        num_negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
        exclude_class: bool = True,
        bank_dtype: str = 'float32',
        queue_size: int | None = None,
        form: str = 'nce',
        loss_weight: float = 1.0,
    ) -> None:
        if form not in ('nce', 'wasserstein'):
            raise ValueError(
                f"GCKTLoss has form='nce' and form='wasserstein', got {form!r}"
            )
        super().__init__(
            student_dim,
            teacher_dim,
            embed_dim,
            num_samples,
            num_negatives,
            temperature,
            momentum,
            exclude_class,
            bank_dtype,
            queue_size,
            loss_weight,
        )
        self.form = form
        spectral_norm(self.embed_student)
        spectral_norm(self.embed_teacher)

    def _objective(self, scores: list[Tensor]) -> Tensor:
        if self.form == 'nce':
            return super()._objective(scores)
        loss = 0
        for x in scores:
            near, far = x[:, 0], x[:, 1:]
            is_far = is_score(far)
            # All processes' negatives count alike, as in one process.
            count = all_reduce_mean(is_far.sum().to(far.dtype))
            far = far.where(is_far, 0).sum() / count.clamp(min=1)
            loss = loss + self.temperature * (far - near.mean())
        return loss
