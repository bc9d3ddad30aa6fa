from __future__ import annotations

import copy
import logging
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmdistill.models.distillers.base import TASK
from mmdistill.models.distillers.offline import OfflineDistiller
from mmdistill.models.distillers.wiring import refuse_first_stage
from mmdistill.models.losses.infonce import InfoNCELoss
from mmdistill.models.losses.prediction import PredictionLoss
from mmdistill.models.memories import FeatureQueue
from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
    evaluating,
)
from mmdistill.ops import after_backward
from mmdistill.registry import MODELS

ENCODERS = ('teacher', 'slow_student', None)


@MODELS.register_module()
class CoCoRD(OfflineDistiller):
    """Contrastive Consistent Representation Distillation.

    From two views x, x' of an image,

        q = head(student(x)),  k = teacher_head(teacher(x')),
        p = predictor(q),      s = slow_head(slow_student(x')),
        total = contrastive(q, k, dictionary of earlier k)
                + prediction(p, s) + prediction(p', s') + task(x).

    The slow student and its head are momentum copies of the student and its
    head, the teacher's head one of the student's head: `MomentumUpdateHook`
    moves them. Where the two features differ in width, the teacher's head is
    random and stays so (m_c = 1 in the paper). Both views of a network go
    through it in one batch.

    Further losses, and then the task too, look at one view, as in the
    benchmark, where all losses see the same image: at the second, which the
    teacher sees anyway, and with ``symmetric=False``, where the student sees
    only the first, at the first.

    Paper: Contrastive Consistent Representation Distillation
    (seed 001_02abce66d45175a2.txt), section 3, Fig. 2. The heads' layers are
    our choice.

    Args:
        head: config of the projection heads; widths are filled in.
        predictor: config of the predictor on the student's side.
        queue_size: rows of the teacher dictionary; 2048 for CIFAR, 65536 for
            ImageNet.
        temperature: of the contrastive loss; 0.1 for CIFAR, 0.07 for
            ImageNet.
        contrastive_weight, prediction_weight, task_weight: lambda_ctr,
            lambda_pred and lambda_cls. With a task_weight of 0 the student's
            classifier learns nothing: judge the features (`LinearProbe`).
        symmetric: predict in both directions; one only on ImageNet.
        contrastive_encoder: whose keys are the positives and fill the
            dictionary, 'teacher' or 'slow_student'; None leaves the
            contrastive loss out (lambda_ctr = 0 of Table 7). Option F of
            Table 5, no contrastive encoder but a dictionary of the cognate
            encoder's keys, is 'slow_student' for both encoders.
        cognate_encoder: who is predicted, 'slow_student' or 'teacher'; None
            leaves the prediction out (option E of Table 5).
        losses, kwargs: as of `OfflineDistiller`.
    Raises:
        ValueError: for unknown encoders, a loss named as one of its own, or
            batches without two views.
    Config:
        model=dict(type='CoCoRD', student=..., teacher=...)
    """

    own_losses = ('contrastive', 'prediction')
    momentum_copies = ('teacher_head', 'slow_student', 'slow_head')

    def __init__(
        self,
        student: dict,
        teacher: dict,
        losses: dict[str, dict] | None = None,
        head: dict | None = None,
        predictor: dict | None = None,
        queue_size: int = 2048,
        temperature: float = 0.1,
        contrastive_weight: float = 1.0,
        prediction_weight: float = 4.0,
        task_weight: float = 1.0,
        symmetric: bool = True,
        contrastive_encoder: str | None = 'teacher',
        cognate_encoder: str | None = 'slow_student',
        **kwargs: Any,
    ) -> None:
        if kwargs.get('memory_encoder', 'student') != 'student':
            raise ValueError(
                "CoCoRD's dictionary is filled by model.contrastive_encoder; "
                "leave model.memory_encoder out, or set it to 'student'"
            )
        super().__init__(
            student, teacher, losses or {}, task_weight=task_weight, **kwargs
        )
        encoders = contrastive_encoder, cognate_encoder
        if not set(encoders) <= set(ENCODERS) or encoders == (None, None):
            raise ValueError(
                'CoCoRD takes contrastive_encoder and cognate_encoder from '
                f'{ENCODERS}, not both None; got {encoders}'
            )
        refuse_first_stage(self.losses, 'CoCoRD')
        self.contrastive_encoder, self.cognate_encoder = encoders
        self.symmetric = symmetric and cognate_encoder is not None
        self._build_heads(
            head or dict(type='ProjectionHead', out_dim=128),
            predictor or dict(type='PredictorHead'),
        )
        self.contrastive = InfoNCELoss(
            temperature, loss_weight=contrastive_weight
        )
        self.prediction = PredictionLoss(prediction_weight)
        if contrastive_encoder is not None:
            self.memories['dictionary'] = FeatureQueue(queue_size, self._dim)
        taught = [
            weight
            for encoder, weight in zip(
                encoders, (contrastive_weight, prediction_weight), strict=True
            )
            if encoder == 'teacher'
        ]
        if not (any(taught) or task_weight or self.losses):
            print_log(
                'nothing of the teacher, and no label, reaches the student of '
                'CoCoRD: it only learns to agree with its slow copy. Set '
                'model.contrastive_encoder or model.cognate_encoder to '
                "'teacher' with a weight above 0, or model.task_weight, or "
                'give model.losses',
                logger='current',
                level=logging.WARNING,
            )

    def _build_heads(self, head: dict, predictor: dict) -> None:
        widths = self.feature_dims
        self.student_head = MODELS.build({'in_dim': widths[0], **head})
        self._dim = self.student_head[-1].out_features
        if widths[0] == widths[1]:
            self.teacher_head = copy.deepcopy(self.student_head)
        else:
            self.teacher_head = MODELS.build({'in_dim': widths[1], **head})
            self.frozen_copies = ('teacher_head',)
        self.slow_student = copy.deepcopy(self.student)
        self.slow_head = copy.deepcopy(self.student_head)
        for copied in (self.teacher_head, self.slow_student, self.slow_head):
            copied.requires_grad_(False)
        # init_weights passes it by: the hook copies what the student has.
        self.slow_student._is_init = True
        self._read_slow = RepresentationReader(self.slow_student)
        self.predictor = None
        if self.cognate_encoder is not None:
            self.predictor = MODELS.build({'dim': self._dim, **predictor})

    def loss(
        self,
        inputs: list[Tensor],
        data_samples: list | None = None,
        teacher_inputs: list[Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Every loss by its name.

        Args:
            inputs: two views, each (N, C, H, W).
            data_samples: N samples.
            teacher_inputs: two views for the teacher, if they differ.
        """
        first, second = _two_views(inputs)
        size = len(first)
        fields = self.batch_fields(data_samples, first.device)
        views = [first, second] if self.symmetric else [first]
        student = self._read_student(torch.cat(views)).split(size)
        queries = [self.student_head(view.feature) for view in student]
        # The second view, then the first: what each is compared with.
        teacher = self._teacher_views(teacher_inputs or inputs)
        keys = self._keys(teacher, [second, first])

        losses = {}
        if self.task_weight:
            # On the image that further losses see, too.
            seen = student[-1 if self.losses else 0]
            losses[TASK] = self.task_weight * self.task_loss(
                seen.logits, data_samples, fields.get('label'), seen.feature
            )
        if self.contrastive_encoder is not None:
            key = keys[self.contrastive_encoder][0]
            losses['contrastive'] = self._contrast(queries[0], key)
        if self.cognate_encoder is not None:
            losses['prediction'] = sum(
                self.prediction(self.predictor(query), target)
                for query, target in zip(
                    queries, keys[self.cognate_encoder], strict=False
                )
            )
        for name in self.losses:
            target = teacher[0 if self.symmetric else -1]
            losses[name] = self._compare(name, student[-1:], [target], fields)
        return losses

    def _contrast(self, query: Tensor, key: Tensor) -> Tensor:
        queue = self.memories['dictionary']
        loss = self.contrastive(query, key, queue.features)
        rows = self.contrastive.remember(query, key)['negatives']
        if self.training:
            after_backward(loss, lambda: queue.enqueue(rows))
        return loss

    @torch.no_grad()
    def _teacher_views(self, views: list[Tensor]) -> list[Representation]:
        """The teacher on the second view and, where needed, on the first."""
        both = (
            self.symmetric
            and self.cognate_encoder == 'teacher'
            or not self.symmetric
            and len(self.losses) > 0
        )
        wanted = [views[1], views[0]] if both else [views[1]]
        if not (self.losses or 'teacher' in self._encoders()):
            return []
        joined = self.represent_teacher(torch.cat(wanted))
        return joined.split(len(views[0]))

    @torch.no_grad()
    def _keys(
        self, teacher: list[Representation], views: list[Tensor]
    ) -> dict[str, list[Tensor]]:
        """Embeddings of the views by each encoder that is in use."""
        keys = {}
        if 'teacher' in self._encoders():
            keys['teacher'] = [self.teacher_head(v.feature) for v in teacher]
        if 'slow_student' in self._encoders():
            symmetric = (
                self.symmetric and self.cognate_encoder == 'slow_student'
            )
            views = views if symmetric else views[:1]
            slow = self._read_slow(torch.cat(views)).split(len(views[0]))
            keys['slow_student'] = [self.slow_head(v.feature) for v in slow]
        return keys

    def _encoders(self) -> tuple[str | None, str | None]:
        return self.contrastive_encoder, self.cognate_encoder

    @torch.no_grad()
    def prefill(self, data: dict) -> None:
        """Put a batch's keys into the dictionary, nothing else."""
        data = self.data_preprocessor(data, True)
        views = _two_views(data['inputs'])
        heads = nn.ModuleList([self.teacher_head, self.slow_head])
        with evaluating(self.slow_student), evaluating(heads):
            teacher = self._teacher_views(data.get('teacher_inputs') or views)
            keys = self._keys(teacher, views[::-1])
        key = keys[self.contrastive_encoder][0]
        rows = self.contrastive.remember(key, key)['negatives']
        self.memories['dictionary'].enqueue(rows)


def _two_views(inputs: Any) -> list[Tensor]:
    if not isinstance(inputs, (list, tuple)) or len(inputs) != 2:
        got = 1 if isinstance(inputs, Tensor) else len(inputs)
        raise ValueError(
            f'CoCoRD takes two views of every image, got {got}; use '
            "dict(type='MultiView', num_views=[2], transforms=[[...]]) in "
            'train_pipeline'
        )
    return list(inputs)
