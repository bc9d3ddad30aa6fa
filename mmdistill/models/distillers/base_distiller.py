from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmdistill.checkpoints import load_strictly, loading_policy
from mmdistill.models.distillers.first_edition import rename_keys
from mmdistill.models.distillers.logging_model import LoggingModel
from mmdistill.models.distillers.other_runners import refuse_other_runners
from mmdistill.models.distillers.preprocessor import target_images
from mmdistill.models.distillers.target import Target, Targets
from mmdistill.models.distillers.task import (
    check_task_head,
    logs_accuracy,
    task_loss,
)
from mmdistill.models.losses.distill_loss import DistillLoss
from mmdistill.models.representation import Representation
from mmdistill.models.zoo import resolve_model
from mmdistill.registry import MODELS
from mmdistill.structures import batch_fields

#: Log name of the student's own loss.
TASK = 'task'


class BaseDistiller(LoggingModel):
    """What every scheme shares: a student that is trained and deployed.

    ``forward(mode='predict' | 'tensor')`` is the student's own. A state dict
    without ``student.`` keys is taken for an exported student.

    A frozen target is an attribute, but no submodule: optimizer,
    ``state_dict``, ``train``, ``init_weights`` and DDP never see it. It
    follows the student's device.

    Args:
        student: config or name of a classifier, see `resolve_model`; or a
            built one.
        data_preprocessor: of the images; the student's when None.
        task_weight: factor on the student's own loss; 0 leaves it out, and
            labels then are not needed.
        init_cfg: MMEngine's initialization config.
    Raises:
        ValueError: if the student's head cannot be taught, or would log an
            accuracy without being taught.
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
        student: str | dict | nn.Module,
        data_preprocessor: dict | nn.Module | None = None,
        task_weight: float = 0.0,
        init_cfg: dict | None = None,
    ) -> None:
        if not isinstance(student, nn.Module):
            student = copy.deepcopy(resolve_model(student))
            data_preprocessor = data_preprocessor or student.get(
                'data_preprocessor'
            )
        super().__init__(build_preprocessor(data_preprocessor), init_cfg)
        #: The student as a model of its own; None if it was given built.
        self.student_cfg = None
        if isinstance(student, dict):
            if isinstance(data_preprocessor, dict):
                student['data_preprocessor'] = copy.deepcopy(data_preprocessor)
            elif data_preprocessor is not None:
                student.pop('data_preprocessor', None)  # the given one counts
            self.student_cfg = copy.deepcopy(student)
        self.student = build_model(student)
        #: What the student is compared with, by name.
        self.targets = Targets()
        self.losses = nn.ModuleDict()
        self.task_weight = task_weight
        if task_weight:
            check_task_head(self.student)
        elif logs_accuracy(self.student):
            raise ValueError(
                'model.student.head.cal_acc=True logs accuracy with the task '
                'loss, which model.task_weight=0 leaves out; set cal_acc=False'
            )
        self._runner_is_known = False
        # True after the first labeled batch: from then on a batch without
        # labels counts as unlabeled (-1) instead of raising.
        self._labeled = False
        self._register_load_state_dict_pre_hook(self._check_student_keys)

    def add_target(self, target: Target) -> Target:
        """Have one more model that the student is compared with.

        Raises:
            ValueError: if there is another of this name, or the name is an
                attribute's.
        """
        if hasattr(self, target.name):
            raise ValueError(
                f'{target.setting} cannot be called {target.name!r}, as '
                'another part of the distiller is; choose another name'
            )
        self.targets[target.name] = target
        if target.is_frozen:
            # Assign via __dict__ so that it is not a submodule.
            self.__dict__[target.name] = target.model
        else:
            setattr(self, target.name, target.model)
        return target

    def put_losses_last(self) -> None:
        """Let losses' parameters come last; optimizers know them by order."""
        losses = self.losses
        del self.losses
        self.losses = losses

    def _apply(self, fn: Callable, *args: Any, **kwargs: Any) -> nn.Module:
        super()._apply(fn, *args, **kwargs)
        for target in self.targets.frozen.values():
            target.model._apply(fn)
        return self

    def init_weights(self) -> None:
        """Initialize what learns; from here on frozen targets must be there.

        Raises:
            FileNotFoundError, CheckpointError: if a target's file is missing
                or does not fit.
        """
        with loading_policy():
            self.targets.prepare()
            super().init_weights()

    def loss_names(self) -> set[str]:
        """Names of what `loss` returns to be trained on."""
        return {TASK, *self.losses, *self.own_losses}

    # One step ---------------------------------------------------------------
    def forward(
        self,
        inputs: Tensor,
        data_samples: list | None = None,
        mode: str = 'tensor',
        **kwargs: Any,
    ) -> Any:
        """Losses in mode 'loss', else whatever the student answers."""
        if mode == 'loss':
            if self.training and not self._runner_is_known:
                refuse_other_runners()
                self._runner_is_known = True
            self._diagnostics = {}
            return self.loss(inputs, data_samples, **kwargs)
        return self.student(inputs, data_samples, mode=mode)

    def loss(
        self, inputs: Tensor, data_samples: list, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Every loss by its name; a scheme defines it."""
        raise NotImplementedError

    def task_loss(
        self,
        seen: Representation,
        data_samples: Sequence,
        fields: Mapping[str, Tensor],
    ) -> Tensor:
        """The student's own loss, unweighted; see `task.task_loss`.

        Args:
            seen: a representation of the student, or of a peer.
            data_samples, fields: of the batch.
        """
        return task_loss(
            self.student, seen, data_samples, fields.get('label'), self.log
        )

    def extract_feat(self, inputs: Tensor, **kwargs: Any) -> Any:
        """The student's features, as ``ImageClassifier.extract_feat``."""
        return self.student.extract_feat(inputs, **kwargs)

    def batch_fields(
        self, data_samples: Sequence, device: torch.device
    ) -> dict[str, Tensor]:
        """Labels (-1 where unknown) and sample indices of a batch.

        Shape:
            each (N,); a field that no sample has is left out.
        """
        fields = batch_fields(data_samples, device, self._labeled)
        self._labeled |= 'label' in fields
        return fields

    def required(
        self, name: str, loss: DistillLoss, fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What a loss requires of a batch.

        Raises:
            ValueError: if the batch does not have it.
        """
        missing = [key for key in loss.requires if key not in fields]
        if missing:
            raise ValueError(
                f'losses.{name} ({type(loss).__name__}) requires {missing}, '
                'which no sample of this batch has; use a dataset that gives '
                'it and PackInputs with it among its meta_keys'
            )
        return {key: fields[key] for key in loss.requires}

    # The run ----------------------------------------------------------------
    def needs_labels(self) -> bool:
        """Whether any loss looks at the labels of the training set."""
        return any('label' in loss.requires for loss in self.losses.values())

    def set_training_set(
        self, num_samples: int, labels: Tensor | None
    ) -> None:
        """Tell the losses the training dataset's length and labels.

        `DistillRunner` calls it.

        Args:
            labels: (num_samples,), -1 where unknown; None if the dataset
                does not tell.
        Raises:
            ValueError: if a loss needs labels and there are none.
        """
        self._runner_is_known = True
        self._labeled = labels is not None and bool(labels.ge(0).any())
        for name, loss in self.losses.items():
            try:
                loss.set_training_set(num_samples, labels)
            except ValueError as error:
                kind = type(loss).__name__
                raise ValueError(f'losses.{name} ({kind}) {error}') from error

    def losses_on_scores_of(self, target: str) -> list[str]:
        """Names of the losses that compare a target's class scores."""
        return []

    @torch.no_grad()
    def predict_target(self, name: str, data: dict) -> list:
        """A target's predictions for a batch of the dataloader."""
        prepared = self.data_preprocessor(data, False)
        images = target_images(self.data_preprocessor, data, prepared, name)
        samples = prepared['data_samples']
        target = self.targets[name]
        if target.chosen is None:
            return target.model(images, samples, mode='predict')
        scores = target.reader(images).logits.softmax(dim=1)
        for sample, score in zip(samples, scores, strict=True):
            sample.set_pred_score(score).set_pred_label(score.argmax())
        return samples

    def min_batch(self) -> tuple[int, str]:
        """The smallest batch that every loss takes, and the loss it is for."""
        return max(
            ((loss.min_batch, name) for name, loss in self.losses.items()),
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
        rename_keys(self, state_dict, prefix)
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


def build_preprocessor(cfg: dict | nn.Module | None) -> nn.Module:
    """A data preprocessor, MMPretrain's unless its type says otherwise."""
    if isinstance(cfg, nn.Module):
        return cfg
    return MODELS.build({'type': 'ClsDataPreprocessor', **(cfg or {})})


def build_model(model: str | dict | nn.Module) -> nn.Module:
    """A network from its name or config; a built one is returned as it is."""
    if isinstance(model, nn.Module):
        return model
    return MODELS.build(resolve_model(model))
