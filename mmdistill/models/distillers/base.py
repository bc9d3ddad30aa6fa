from __future__ import annotations

import copy
import inspect
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.runner import FlexibleRunner, Runner
from mmpretrain.models.heads import ClsHead
from torch import Tensor, nn

from mmdistill.checkpoints import load_strictly
from mmdistill.models.memories import InstanceBank
from mmdistill.ops import all_reduce_sum, world_size
from mmdistill.registry import MODELS
from mmdistill.structures import BatchedSamples

#: Log name of the sum of all losses, which no loss may take.
TOTAL = 'loss'
#: Log name of the student's own loss.
TASK = 'task'


class BaseDistiller(BaseModel):
    """What every scheme shares: a student that is trained and deployed.

    ``forward(mode='predict' | 'tensor')`` is the student's own. A state dict
    without ``student.`` keys is taken for an exported student.

    Args:
        student: config of an MMPretrain classifier, or a built one.
        data_preprocessor: of the images; the student's when None.
        init_cfg: MMEngine's initialisation config.
    """

    #: Submodules that a `MomentumUpdateHook` should move.
    momentum_copies: tuple[str, ...] = ()
    #: Those of them that have no counterpart and stay as they are.
    frozen_copies: tuple[str, ...] = ()
    #: Names of losses that a scheme returns besides the task's and those of
    #: ``losses``.
    own_losses: tuple[str, ...] = ()

    def __init__(
        self,
        student: dict | nn.Module,
        data_preprocessor: dict | nn.Module | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if isinstance(student, dict):
            student = copy.deepcopy(student)
            data_preprocessor = data_preprocessor or student.get(
                'data_preprocessor'
            )
        super().__init__(_preprocessor(data_preprocessor), init_cfg)
        #: The student as a model of its own; None if it was given built.
        self.student_cfg = None
        if isinstance(student, dict):
            if isinstance(data_preprocessor, dict):
                student['data_preprocessor'] = copy.deepcopy(data_preprocessor)
            elif data_preprocessor is not None:
                student.pop('data_preprocessor', None)  # the given one counts
            self.student_cfg = copy.deepcopy(student)
        self.student = _build(student)
        self.losses = nn.ModuleDict()
        self._diagnostics: dict[str, Tensor] = {}
        self._runner_is_known = False
        # Once a label was seen, a batch without any is an unlabelled one.
        self._labelled = False
        self._register_load_state_dict_pre_hook(self._check_student_keys)

    def forward(
        self,
        inputs: Tensor,
        data_samples: list | None = None,
        mode: str = 'tensor',
        **kwargs: Any,
    ) -> Any:
        """Losses in mode 'loss', else whatever the student answers."""
        if mode == 'loss':
            self._diagnostics = {}
            return self.loss(inputs, data_samples, **kwargs)
        return self.student(inputs, data_samples, mode=mode)

    def loss(
        self, inputs: Tensor, data_samples: list, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Every loss by its name; a scheme defines it."""
        raise NotImplementedError

    def parse_losses(
        self, losses: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum all losses and log each under its own name.

        What counts is named in ``losses`` or ``own_losses``, or has 'loss' in
        its name, as in MMEngine. Anything else is logged and never trained
        on, as is what was given to `log`.

        Raises:
            ValueError: if something else has a gradient: it may be meant to
                be trained on, or not.
            RuntimeError: at the first step, if it is one of a runner that
                does not know distillers.
        """
        if self.training and not self._runner_is_known:
            self._runner_is_known = True
            _refuse_other_runners()
        counted = {TASK, *self.losses, *self.own_losses}
        total = 0
        for name, value in losses.items():
            if name in counted or 'loss' in name:
                total = total + value
            elif value.requires_grad:
                raise ValueError(
                    f'{type(self).__name__}.loss returned {name!r}, which has '
                    'a gradient and is none of its losses: add it to '
                    "own_losses of the class, or give it a name with 'loss', "
                    'to train on it; else log it with self.log(name, value)'
                )
        return total, OrderedDict(
            {TOTAL: total, **losses, **self._diagnostics}
        )

    def log(self, name: str, value: Tensor | float) -> None:
        """Have a number logged with this step's losses, and not trained on.

        Args:
            name: in the log and in TensorBoard.
            value: one number, of any device.
        Raises:
            ValueError: if it is more than one number.
        """
        value = torch.as_tensor(value).detach()
        if value.numel() != 1:
            raise ValueError(
                f'the diagnostic {name!r} is one number, got shape '
                f'{tuple(value.shape)}; take its mean'
            )
        self._diagnostics[name] = value.reshape(()).float()

    def counted(self, name: str, value: Tensor | dict) -> Tensor:
        """What counts of the answer of a loss; the rest is logged.

        Args:
            name: of the loss, before what it logs: ``name/diagnostic``.
            value: the weighted loss, or a dict with it as ``loss`` and with
                diagnostics under other names.
        """
        if isinstance(value, Tensor):
            return value
        if not isinstance(value, dict) or 'loss' not in value:
            raise ValueError(
                f'losses.{name} returns a scalar tensor, or a dict with it as '
                f"'loss' and diagnostics besides; got {type(value).__name__}"
                + (f' with {sorted(value)}' if isinstance(value, dict) else '')
            )
        for key, diagnostic in value.items():
            if key != 'loss':
                self.log(f'{name}/{key}', diagnostic)
        return value['loss']

    def extract_feat(self, inputs: Tensor, **kwargs: Any) -> Any:
        """The student's features, as ``ImageClassifier.extract_feat``."""
        return self.student.extract_feat(inputs, **kwargs)

    # What a batch says ------------------------------------------------------
    def batch_fields(
        self, data_samples: Sequence, device: torch.device
    ) -> dict[str, Tensor]:
        """Labels (-1 where unknown) and sample indices of a batch.

        Shape:
            each (N,); a field that no sample has is left out.
        """
        if isinstance(data_samples, BatchedSamples):
            return data_samples.fields(device)
        fields = {}
        samples = data_samples or ()
        if any('gt_label' in sample for sample in samples):
            self._labelled = True
            fields['label'] = torch.cat(
                [
                    sample.gt_label
                    if 'gt_label' in sample
                    else torch.tensor([-1], device=device)
                    for sample in samples
                ]
            ).to(device)
        elif samples and self._labelled:
            fields['label'] = torch.full((len(samples),), -1, device=device)
        if samples and all('sample_idx' in sample for sample in samples):
            index = torch.tensor([sample.sample_idx for sample in samples])
            fields['sample_idx'] = index.to(device, non_blocking=True)
        return fields

    def task_loss(
        self,
        logits: Tensor | None,
        data_samples: Sequence,
        label: Tensor | None,
        feature: Tensor | None = None,
    ) -> Tensor:
        """What the student would learn alone: its head's own loss.

        It is the mean over labelled rows (0 for none). With several processes
        it is their joined batch's mean once DDP has averaged the gradients.

        A student of few-shot episodes (`PrototypicalNetwork`) learns from its
        feature, too, or without a head from nothing else.
        """
        if label is None:
            raise ValueError(
                'the task loss needs labels but no sample of this batch has '
                'one; use a labelled dataset or set model.task_weight=0'
            )
        episode_loss = getattr(self.student, 'episode_loss', None)
        if episode_loss is None:
            return self._head_loss(logits, data_samples, label)
        loss = episode_loss(feature, label)
        if logits is not None:
            loss = loss + self._head_loss(logits, data_samples, label)
        return loss

    def _head_loss(
        self, logits: Tensor, data_samples: Sequence, label: Tensor
    ) -> Tensor:
        head = self.student.head
        known = (label >= 0).float()
        count = all_reduce_sum(known.sum()) / world_size()
        if data_samples[0].get('gt_score', None) is not None:
            target = torch.stack([s.gt_score for s in data_samples])
            if head.cal_acc:
                raise ValueError(
                    'model.student.head.cal_acc=True needs one class an '
                    'image, which MixUp and CutMix mix; set cal_acc=False, or '
                    'leave batch_augments and to_onehot out of '
                    'data_preprocessor'
                )
        else:
            target = label.clamp(min=0)
            if head.cal_acc:
                self._log_accuracy(head.topk, logits, label)
        return head.loss_module(
            logits.float(),
            target,
            weight=known.float(),
            avg_factor=count.clamp(min=1 / world_size()).float(),
        )

    @torch.no_grad()
    def _log_accuracy(
        self, topk: Sequence[int], logits: Tensor, label: Tensor
    ) -> None:
        """Log ``accuracy_top-k`` in percent, as a head with ``cal_acc`` does.

        It is of the labelled rows (0 for none). MMPretrain's calls a score
        that is not positive wrong, logits or not; here the order alone counts.
        """
        hits = logits.topk(max(topk)).indices == label[:, None]
        known = (label >= 0).sum().clamp(min=1)
        for k in topk:
            self.log(f'accuracy_top-{k}', 100 * hits[:, :k].sum() / known)

    def check_task_head(self) -> None:
        """Raise if the student's head cannot be taught here.

        Raises:
            ValueError: if it keeps its loss to itself, or is to log a top-k
                accuracy of more classes than it has.
        """
        head = getattr(self.student, 'head', None)
        if head is None and hasattr(self.student, 'episode_loss'):
            return
        if not isinstance(head, ClsHead) or (
            type(head)._get_loss is not ClsHead._get_loss
        ):
            raise ValueError(
                'the task loss is taken on the class scores that the losses '
                'see, so model.student.head must be a ClsHead with a '
                f'loss_module, got {type(head).__name__}; use another head '
                'or set model.task_weight=0'
            )
        classes = getattr(head, 'num_classes', None) or max(head.topk)
        if head.cal_acc and max(head.topk) > classes:
            raise ValueError(
                f'model.student.head.topk={head.topk} asks for more classes '
                f'than there are, {classes}; lower it'
            )

    # What surrounds training ------------------------------------------------
    def needs_labels(self) -> bool:
        """Whether any loss looks at the labels of the training set."""
        return any(
            'label' in getattr(loss, 'needs', ())
            for loss in self.losses.values()
        )

    def checkpoint_meta(self) -> dict[str, Any]:
        """What a full checkpoint's ``meta`` tells of this run's model."""
        return {}

    def check_meta(self, meta: dict) -> None:
        """Raise ValueError if a run of another model wrote a checkpoint."""

    def set_training_set(
        self, num_samples: int, labels: Tensor | None
    ) -> None:
        """Tell the banks the training dataset's length and labels.

        `DistillRunner` calls it.

        Args:
            labels: (num_samples,), -1 where unknown; None if the dataset
                does not tell.
        Raises:
            ValueError: if a loss needs labels and there are none.
        """
        self._runner_is_known = True
        self._labelled = labels is not None and bool(labels.ge(0).any())
        for name, loss in self.losses.items():
            banks = [m for m in loss.modules() if isinstance(m, InstanceBank)]
            if (
                'label' in getattr(loss, 'needs', ())
                and (banks or labels is not None)
                and (labels is None or not labels.ge(0).any())
            ):
                raise ValueError(
                    f'losses.{name} ({type(loss).__name__}) needs labels, but '
                    'train_dataloader.dataset gives none; use a labelled '
                    'dataset, or an option of the loss that does without '
                    '(exclude_class=False)'
                )
            for bank in banks:
                bank.learn(num_samples, labels)
            wanted = getattr(loss, 'num_negatives', 0)
            if banks and wanted > banks[0].fewest_negatives:
                print_log(
                    f'losses.{name}.num_negatives={wanted}, but some sample '
                    f'has only {banks[0].fewest_negatives} negatives: they '
                    'are drawn with replacement, many of them several times',
                    logger='current',
                    level=logging.WARNING,
                )

    def min_samples(self) -> tuple[int, str]:
        """The smallest batch that every loss takes, and the loss it is for."""
        return max(
            (
                (getattr(loss, 'min_samples', 1), name)
                for name, loss in self.losses.items()
            ),
            default=(1, ''),
        )

    def _check_student_keys(self, state_dict: dict, prefix: str, *_) -> None:
        """Take exported students; refuse to leave a student tensor random."""
        inner = f'{prefix}student.'
        if not any(key.startswith(inner) for key in state_dict):
            for key in list(state_dict):
                if key.startswith(prefix):
                    state_dict[inner + key[len(prefix) :]] = state_dict.pop(
                        key
                    )
            for key, value in self.state_dict().items():
                if not key.startswith('student.'):
                    state_dict[prefix + key] = value
        load_strictly(
            self.student,
            {
                key[len(inner) :]: value
                for key, value in state_dict.items()
                if key.startswith(inner)
            },
            'the checkpoint',
            'Give the config that the checkpoint was trained with, or the '
            'checkpoint of this config.',
        )


def _refuse_other_runners() -> None:
    """Raise if a runner that does not know distillers takes this step.

    A model is not told who trains it; the stack of calls says so.
    """
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get('self')
        if isinstance(caller, (Runner, FlexibleRunner)):
            raise RuntimeError(
                f'a distiller runs under {type(caller).__name__}, which does '
                "not tell it of its data; set runner_type='DistillRunner' in "
                'the config, or use DistillRunner.from_cfg of '
                'mmdistill.engine.runner'
            )
        frame = frame.f_back


def _preprocessor(cfg: dict | nn.Module | None) -> nn.Module:
    if isinstance(cfg, nn.Module):
        return cfg
    return MODELS.build({'type': 'ClsDataPreprocessor', **(cfg or {})})


def _build(model: dict | nn.Module) -> nn.Module:
    return model if isinstance(model, nn.Module) else MODELS.build(model)
