from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.models.losses.crd import CRDLoss
from mmdistill.models.losses.distill_loss import DistillLoss, Shapes
from mmdistill.models.losses.noise_contrastive import is_score
from mmdistill.ops import add_up, all_reduce_mean, orthonormal
from mmdistill.registry import MODELS


class LipschitzEmbedding(nn.Linear):
    """A linear map of spectral norm at most 1, applied to unit vectors.

    (N, D) features are L2-normalized and multiplied by `orthonormal` (W).
    There is no bias and no normalization afterwards, so the map is 1-Lipschitz
    in the normalized feature and its outputs lie in the unit ball, at every
    scale of the feature and after every optimizer step.

    `orthonormal` sets all singular values to 1. Dividing W by its spectral
    norm instead left one singular value 40 times as large as the others, along
    the mean that all features share, and the critic saw only that direction.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)

    def reset_parameters(self) -> None:
        # Orthogonal, so all directions keep their length; a random matrix
        # shortens most vectors.
        nn.init.orthogonal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.normalize(x), orthonormal(self.weight))


@MODELS.register_module()
class GCKTLoss(CRDLoss):
    """WCoRD's global part: the dual form of a Wasserstein distance.

    W1 is the distance between the joint distribution of a sample's student
    and teacher features, h_s and h_t, and the product of their marginals: the
    supremum over 1-Lipschitz critics g of E_joint[g] - E_product[g]. Student
    and critic maximize it. Here g(h_t, h_s) = <V h_t, W h_s> with
    L2-normalized features and linear maps V and W of spectral norm at most 1,
    so g is 1-Lipschitz in each argument and lies in [-1, 1].

    As in `CRDLoss`, each side's embedding of a sample is scored against a bank
    of the other side's embeddings (V h_t or W h_s, averaged over earlier
    batches). E_joint is over the sample's own rows, E_product over the rows of
    K samples of other classes, and the loss is added over both sides. With
    ``queue_size`` the positive is the other side's embedding in this batch.

    - ``form='nce'``: the noise-contrastive objective of `CRDLoss` on g / T;
    - ``form='wasserstein'``: E_product[g] - E_joint[g]. On digits with 100
      labels it gained less than the other form (docs/benchmarks.md), so it is
      not the default.

    The paper's supplement does not include its equation (11). The critic, the
    two forms and the choice of positives are our reading of Algorithm 1, which
    maximizes this part over the student and the critic.

    Paper: Chen et al., Wasserstein Contrastive Representation Distillation,
    CVPR 2021, https://arxiv.org/abs/2012.08674, supplement, Algorithm 1.

    Args:
        student_dim, teacher_dim: widths; the distiller fills them in.
        temperature: T of ``form='nce'``; the other form has none.
        form: 'nce' or 'wasserstein'.
        loss_weight: lambda_1; 0.8 is best in the supplement's Table 2.
        The other arguments are those of `CRDLoss`.
    Shape:
        As `CRDLoss`.
    Raises:
        ValueError: for an unknown form.
    Config:
        losses=dict(gckt=dict(type='GCKTLoss', loss_weight=0.8),
                    lckt=dict(type='LCKTLoss', critic='gckt', center=True,
                              loss_weight=0.05))
    """

    embedding = LipschitzEmbedding
    embed_student: LipschitzEmbedding
    embed_teacher: LipschitzEmbedding
    unit_rows = False

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

    def _objective(self, scores: list[Tensor]) -> Tensor:
        if self.form == 'nce':
            return super()._objective(scores)
        terms = []
        for x in scores:
            near, far = x[:, 0], x[:, 1:]
            is_far = is_score(far)
            # Weight the negatives of all processes equally, as in one process.
            count = all_reduce_mean(is_far.sum().to(far.dtype))
            far = far.where(is_far, 0).sum() / count.clamp(min=1)
            terms.append(self.temperature * (far - near.mean()))
        return add_up(terms)


@MODELS.register_module()
class LCKTLoss(DistillLoss):
    """WCoRD's local part: optimal transport within the batch, primal form.

    sum_ij P_ij C_ij, where C_ij = 1 - cos(A h_s_i, B h_t_j) is the cost
    between the student's and the teacher's features of a batch, and P is the
    entropic transport plan between uniform marginals. The plan is detached,
    the cost is not.

    Algorithm 1 minimizes this part over the student only: trained maps A and B
    could make all costs small by sending every feature to one point. With
    ``critic``, A and B are therefore the maps of the GCKT critic, and this
    loss does not train them. The critic learns them from pairs of features, so
    the plan moves a sample to teacher features of its own class. Without a
    critic, B is the identity; A is the identity, too, or a linear map trained
    with the student where the widths differ. Such a map does not know the
    pairs: on digits its plans were at chance and settled on other classes.

    ``center`` subtracts the batch mean from the L2-normalized features. All
    features share a large mean, which makes all costs nearly equal, pulls the
    student mostly toward the teacher's mean, and is kept apart by the critic's
    maps. Plans of centered features are sharper. Use it with the maps of a
    critic: alone, centered LCKT lost accuracy on digits.

    The paper's supplement does not include its equation (13); this is our
    reading.

    Paper: Chen et al., Wasserstein Contrastive Representation Distillation,
    CVPR 2021, https://arxiv.org/abs/2012.08674, supplement, Algorithm 1.

    Args:
        student_dim, teacher_dim: widths; the distiller fills them in.
        epsilon: entropic regularization, in units of the cost.
        iterations: Sinkhorn iterations in the log domain, from potentials of
            0, the student's rows first.
        critic: name of the `GCKTLoss` in ``model.losses`` whose maps are A and
            B; None for no critic.
        center: subtract the mean over this process's batch on both sides.
        loss_weight: lambda_2; 0.05 on CIFAR and ImageNet (our choice), 0.1
            for privileged information.
    Shape:
        student: (N, D_s); teacher: (N, D_t); returns ().
    Raises:
        ValueError: if ``critic`` names no `GCKTLoss` of the method.
    Config:
        losses=dict(gckt=dict(type='GCKTLoss', loss_weight=0.8),
                    lckt=dict(type='LCKTLoss', critic='gckt', center=True,
                              loss_weight=0.05))
    """

    level = 'feature'

    def __init__(
        self,
        student_dim: int,
        teacher_dim: int,
        epsilon: float = 0.05,
        iterations: int = 50,
        critic: str | None = None,
        center: bool = False,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.epsilon = epsilon
        self.iterations = iterations
        self.center = center
        self.critic = critic
        self.connector: nn.Module = nn.Identity()
        if critic is None and student_dim != teacher_dim:
            self.connector = nn.Linear(student_dim, teacher_dim)
        self._maps: tuple[LipschitzEmbedding, ...] = ()

    @classmethod
    def infer(cls, student: Shapes, target: Shapes) -> dict[str, Any]:
        return dict(student_dim=student.dim, teacher_dim=target.dim)

    def connect(self, losses: Mapping[str, nn.Module]) -> None:
        if self.critic is None:
            return
        critic = losses[self.critic] if self.critic in losses else None
        if not isinstance(critic, GCKTLoss):
            found = [k for k, v in losses.items() if isinstance(v, GCKTLoss)]
            raise ValueError(
                f'LCKTLoss has critic={self.critic!r}, which is no GCKTLoss '
                f'of model.losses; its GCKTLosses are {found}. Name one, or '
                'leave critic out'
            )
        # A tuple registers no submodules, so only the critic owns the maps.
        self._maps = critic.embed_student, critic.embed_teacher

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        cost = self.cost(student, teacher)
        return self.loss_weight * (self.plan(cost) * cost).sum()

    def cost(self, student: Tensor, teacher: Tensor) -> Tensor:
        """(N, D_s) and (N, D_t) features to (N, N) costs, from 0 to 2."""
        if self.critic is None:
            student = self.connector(student)
        else:
            student, teacher = (
                F.linear(F.normalize(x), orthonormal(embed.weight.detach()))
                for x, embed in zip(
                    (student, teacher), self._maps, strict=True
                )
            )
        student, teacher = F.normalize(student), F.normalize(teacher)
        if self.center:
            # If all rows are equal, only rounding is left; eps makes it 0.
            student, teacher = (
                F.normalize(x - x.mean(0), eps=1e-4)
                for x in (student, teacher)
            )
        return 1 - student @ teacher.t()

    @torch.no_grad()
    def plan(self, cost: Tensor) -> Tensor:
        """The transport plan: (N, N) costs to (N, N) that sums to 1."""
        score = -cost / self.epsilon
        log_mass = -math.log(len(cost))
        rows = cost.new_zeros(len(cost), 1)
        columns = cost.new_zeros(1, len(cost))
        for _ in range(self.iterations):
            rows = log_mass - (score + columns).logsumexp(1, keepdim=True)
            columns = log_mass - (score + rows).logsumexp(0, keepdim=True)
        return (score + rows + columns).exp()
