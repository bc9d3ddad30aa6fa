from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from mmdistill.models.distillers.base_distiller import build_model
from mmdistill.models.distillers.comparing import ComparingDistiller
from mmdistill.models.distillers.first_edition import own_memories
from mmdistill.models.distillers.named_teacher import image_size
from mmdistill.models.distillers.target import Role, Target
from mmdistill.models.losses.view_pairs import as_list
from mmdistill.registry import MODELS


@MODELS.register_module()
class SelfDistiller(ComparingDistiller):
    """A student learns from a momentum copy of itself, without labels.

    The copy, ``teacher``, sees the global views and the student all of them;
    each loss compares them across views (`ComparingDistiller`).
    `MomentumUpdateHook` moves the copy. It stays in training mode, so its
    BatchNorm takes the batch's statistics, as in the published code.

    Papers: Caron et al., Emerging Properties in Self-Supervised Vision
    Transformers (DINO), ICCV 2021, https://arxiv.org/abs/2104.14294; Lee,
    Representation Distillation by Prototypical Contrastive Predictive Coding,
    ICLR 2022, https://openreview.net/forum?id=8la28hZOwug, eq. 17 and A.4.

    Args:
        student: config of a `SelfSupervisedEncoder` or a classifier.
        losses: name to loss config; widths are filled in.
        teacher: config of the copy where it differs in more than weights
            (DropPath, which only the student has); the student's when None.
        task_weight: factor on the student's own loss with labels.
        data_preprocessor, input_size, memories, init_cfg: as of
            `OfflineDistiller`.
    Raises:
        KeyError, ValueError: when a loss lacks what it needs, or a batch has
            only one view.
    Config:
        model=dict(type='SelfDistiller', student=...,
                   losses=dict(dino=dict(type='DINOLoss'))),
        default_hooks=dict(teacher=dict(
            type='MomentumUpdateHook', source='student', target='teacher',
            momentum=0.996, end_momentum=1.0, schedule='cosine'))
    """

    momentum_copies = ('teacher',)

    def __init__(
        self,
        student: dict | nn.Module,
        losses: dict[str, dict],
        teacher: dict | nn.Module | None = None,
        task_weight: float = 0.0,
        data_preprocessor: dict | nn.Module | None = None,
        input_size: Sequence[int] | None = None,
        memories: dict[str, dict] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        losses, _ = own_memories(losses, memories)
        input_size = image_size(input_size, student)
        super().__init__(
            student, data_preprocessor, task_weight, init_cfg=init_cfg
        )
        if teacher is None:
            teacher = copy.deepcopy(self.student)
        elif isinstance(teacher, dict) and self.student_cfg is not None:
            # Its buffers, too, must pair up with the student's.
            own = copy.deepcopy(self.student_cfg.get('data_preprocessor'))
            teacher = {**teacher, 'data_preprocessor': own}
        teacher = build_model(teacher).requires_grad_(False)
        # Mark it as initialized so that init_weights() skips it:
        # MomentumUpdateHook copies the student before the first step.
        teacher._is_init = True
        self.add_target(Target('teacher', teacher, Role.MOVED, input_size))
        self._build_losses(losses, input_size)

    def loss(
        self, inputs: Sequence[Tensor], data_samples: list | None = None
    ) -> dict[str, Tensor]:
        """Every loss by its name.

        Args:
            inputs: two or more views, each (N, C, H, W), global ones first.
            data_samples: N samples.
        """
        if len(as_list(inputs)) < 2:
            raise ValueError(
                'SelfDistiller compares several views of an image, got one; '
                "use dict(type='MultiCrop', ...) in train_pipeline or "
                "data_preprocessor=dict(type='MultiCropPreprocessor', ...)"
            )
        return super().loss(inputs, data_samples)
