from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from mmdistill.models.distillers.base import _build
from mmdistill.models.distillers.pair import PairDistiller, as_list
from mmdistill.models.representation import RepresentationReader
from mmdistill.registry import MODELS


@MODELS.register_module()
class SelfDistiller(PairDistiller):
    """A student learns from a momentum copy of itself, without labels.

    The copy, ``teacher``, sees the global views and the student all of them;
    each loss compares them across views (`PairDistiller`).
    `MomentumUpdateHook` moves the copy. It stays in training mode, so its
    BatchNorm takes the batch's statistics, as in the published code.

    Papers: Caron et al., Emerging Properties in Self-Supervised Vision
    Transformers (DINO), ICCV 2021; Lee, Representation Distillation by
    Prototypical Contrastive Predictive Coding, ICLR 2022, eq. 17 and A.4
    (seed 000_16ac32511843e360.txt).

    Args:
        student: config of a `SelfSupervisedEncoder` or a classifier.
        losses: name to loss config; widths are filled in.
        teacher: config of the copy where it differs in more than weights
            (DropPath, which only the student has); the student's when None.
        task_weight: factor on the student's own loss with labels.
        memories, data_preprocessor, input_size, init_cfg: as of
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
        memories: dict[str, dict] | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        input_size: Sequence[int] = (3, 32, 32),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            student,
            data_preprocessor,
            task_weight=task_weight,
            init_cfg=init_cfg,
        )
        if teacher is None:
            self.teacher = copy.deepcopy(self.student)
        else:
            if isinstance(teacher, dict) and self.student_cfg is not None:
                # Its buffers, too, must pair up with the student's.
                teacher = {
                    **teacher,
                    'data_preprocessor': copy.deepcopy(
                        self.student_cfg.get('data_preprocessor')
                    ),
                }
            self.teacher = _build(teacher)
        self.teacher.requires_grad_(False)
        # init_weights passes it by: the hook copies what the student has.
        self.teacher._is_init = True
        self._read_student = RepresentationReader(
            self.student, 'model.student'
        )
        self._read_teacher = RepresentationReader(
            self.teacher, 'model.teacher'
        )
        self._wire(losses, memories or {}, input_size)

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
