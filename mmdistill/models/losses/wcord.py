from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.models.losses.base import DistillLoss
from mmdistill.models.losses.crd import CRDLoss, is_score
from mmdistill.ops import all_reduce_mean, full_precision, orthonormal
from mmdistill.registry import MODELS


class LipschitzEmbedding(nn.Linear):
    """A linear map of spectral norm at most 1, applied to unit vectors.

    (N, D) features are L2-normalized and multiplied by `orthonormal` (W).
    Nothing is added or normalized behind, so the map is 1-Lipschitz in the
    normalized feature and its values lie in the unit ball, at every scale of
    the feature and after every step of the optimizer.

    All its singular values are 1. Divided by its norm instead, W kept one that
    was 40 times the others, along the mean that all features share, and the
    critic saw nothing else.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)

    def reset_parameters(self) -> None:
        # All directions count alike: a random matrix shortens most vectors.
        nn.init.orthogonal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.normalize(x), orthonormal(self.weight))


@MODELS.register_module()
class GCKTLoss(CRDLoss):
    """WCoRD's global part: the dual form of a Wasserstein distance.

    The distance W1 is between the joint distribution of a sample's student
    and teacher features, h_s and h_t, and the product of its marginals: the
    supremum over 1-Lipschitz critics g of E_joint[g] - E_product[g]. Student
    and critic maximize it. Here g(h_t, h_s) = <V h_t, W h_s> with
    L2-normalized features and linear maps V and W of spectral norm at most 1,
    so g is 1-Lipschitz in each argument and lies in [-1, 1].

    As in `CRDLoss`, each side's map of a sample is scored against a bank of
    the other side's, V h_t or W h_s averaged over earlier batches: E_joint is
    over the sample's own rows, E_product over those of K samples of other
    classes, and the loss is added over both sides. (With ``queue_size`` the
    own row is the present one.)

    - ``form='nce'``: the noise-contrastive objective of `CRDLoss` on g / T;
    - ``form='wasserstein'``: E_product[g] - E_joint[g]. On digits with 100
      labels it gained less than the other form (docs/benchmarks.md), so it is
      not the default.

    Equation (11) of the paper is not in its supplement. The critic, the two
    forms and where positives come from are our reading of Algorithm 1, which
    maximizes this part over the student and the critic.

    Paper: Chen et al., Wasserstein Contrastive Representation Distillation,
    CVPR 2021, https://arxiv.org/abs/2012.08674, supplement, Algorithm 1.

    Args:
        student_dim, teacher_dim: widths; the distiller fills them in.
        temperature: T of ``form='nce'``; the other form has none.
        form: 'nce' or 'wasserstein'.
        loss_weight: lambda_1; 0.8 is best in the supplement's Table 2.
        The others are as of `CRDLoss`.
    Shape:
        as of `CRDLoss`.
    Raises:
        ValueError: for another form.
    Config:
        losses=dict(gckt=dict(type='GCKTLoss', loss_weight=0.8),
                    lckt=dict(type='LCKTLoss', critic='gckt', center=True,
                              loss_weight=0.05))
    """

    embedding = LipschitzEmbedding
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
        loss = 0
        for x in scores:
            near, far = x[:, 0], x[:, 1:]
            is_far = is_score(far)
            # All processes' negatives count alike, as in one process.
            count = all_reduce_mean(is_far.sum().to(far.dtype))
            far = far.where(is_far, 0).sum() / count.clamp(min=1)
            loss = loss + self.temperature * (far - near.mean())
        return loss


@MODELS.register_module()
class LCKTLoss(DistillLoss):
    """WCoRD's local part: optimal transport within the batch, primal form.

    sum_ij P_ij C_ij with the cost C_ij = 1 - cos(A h_s_i, B h_t_j) between the
    student's and the teacher's features of a batch, and P the entropic plan
    between uniform marginals. The plan gets no gradient, the cost does.

    Algorithm 1 minimizes this part over the student alone: two maps that learn
    with it would make all costs small by sending every feature to one point.
    So beside GCKT, A and B are the critic's maps, which this loss does not
    train (``critic``). They come from pairs of features, so that the plan
    moves a sample to teacher features of its own class. Without a critic, B is
    the identity and A, only where widths differ, learns with the student. Such
    an A knows no pairs: on digits its plans were at chance, and settled on
    other classes.

    With ``center`` angles are between L2-normalized features less their mean
    over the batch. All features share a large mean, which makes all costs
    nearly alike, pulls toward the teacher's mean most of all, and which a
    critic's maps hold apart. Plans are sharper without it, which is for maps
    that come from pairs: alone, centered LCKT lost accuracy on digits.

    Equation (13) of the paper is not in its supplement; this is our reading.

    Paper: Chen et al., Wasserstein Contrastive Representation Distillation,
    CVPR 2021, https://arxiv.org/abs/2012.08674, supplement, Algorithm 1.

    Args:
        student_dim, teacher_dim: widths; the distiller fills them in.
        epsilon: entropic regularization, in units of the cost.
        iterations: Sinkhorn iterations in the log domain, from potentials of
            0, the student's rows first.
        critic: name of the `GCKTLoss` in ``model.losses`` whose maps stand for
            A and B; None without one.
        center: subtract the mean over the (process's) batch on both sides.
        loss_weight: lambda_2; 0.05 on CIFAR and ImageNet (our choice), 0.1
            for privileged information.
    Shape:
        student: (N, D_s); teacher: (N, D_t); returns ().
    Raises:
        ValueError: if ``critic`` is no `GCKTLoss` of the method.
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
        # In a tuple, so that they stay the critic's submodules alone.
        self._maps = critic.embed_student, critic.embed_teacher

    @full_precision
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
            # Of rows that are all alike, rounding is left: eps makes that 0.
            student, teacher = (
                F.normalize(x - x.mean(0), eps=1e-4)
                for x in (student, teacher)
            )
        return 1 - student @ teacher.t()

    @torch.no_grad()
    def plan(self, cost: Tensor) -> Tensor:
        """The transport plan: (N, N) costs to (N, N), total 1."""
        score = -cost / self.epsilon
        log_mass = -math.log(len(cost))
        rows = cost.new_zeros(len(cost), 1)
        columns = cost.new_zeros(1, len(cost))
        for _ in range(self.iterations):
            rows = log_mass - (score + columns).logsumexp(1, keepdim=True)
            columns = log_mass - (score + rows).logsumexp(0, keepdim=True)
        return (score + rows + columns).exp()
