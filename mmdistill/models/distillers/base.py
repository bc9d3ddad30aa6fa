from __future__ import annotations

import copy
import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.runner import FlexibleRunner, Runner
from torch import Tensor, nn

from mmdistill.checkpoints import load_strictly
from mmdistill.models.distillers.first_edition import rename_keys
from mmdistill.models.distillers.preprocessor import target_images
from mmdistill.models.distillers.target import Target
from mmdistill.models.distillers.task import check_task_head, task_loss
from mmdistill.models.losses.base import DistillLoss
from mmdistill.models.representation import Representation
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

    A frozen target is an attribute, but no submodule: optimizer,
    ``state_dict``, ``train``, ``init_weights`` and DDP never see it. It
    follows the student's device.

    Args:
        student: config of an MMPretrain classifier, or a built one.
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
        student: dict | nn.Module,
        data_preprocessor: dict | nn.Module | None = None,
        task_weight: float = 0.0,
        init_cfg: dict | None = None,
    ) -> None:
        if isinstance(student, dict):
            student = copy.deepcopy(student)
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
        self.targets: dict[str, Target] = {}
        self.losses = nn.ModuleDict()
        self.task_weight = task_weight
        if task_weight:
            check_task_head(self.student)
        elif getattr(getattr(self.student, 'head', None), 'cal_acc', False):
            raise ValueError(
                'model.student.head.cal_acc=True logs accuracy with the task '
                'loss, which model.task_weight=0 leaves out; set cal_acc=False'
            )
        self._diagnostics: dict[str, Tensor] = {}
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
        taken = target.name in self.targets
        if taken or hasattr(self, target.name):
            what = 'another target' if taken else 'a part of the distiller'
            raise ValueError(
                f'{target.setting} cannot be called {target.name!r}, as '
                f'{what} is; choose another name'
            )
        self.targets[target.name] = target
        if target.is_frozen:
            # Assign via __dict__ so that it is not a submodule.
            self.__dict__[target.name] = target.model
        else:
            setattr(self, target.name, target.model)
        return target

    def put_losses_last(self) -> None:
        """Let the parameters of losses come after all that there are now.

        Optimizers know parameters by their order, so that a run resumes only
        if it stays.
        """
        losses = self.losses
        del self.losses
        self.losses = losses

    @property
    def frozen_targets(self) -> dict[str, Target]:
        """The targets that stay as their files have them, by name."""
        return {k: t for k, t in self.targets.items() if t.is_frozen}

    def _apply(self, fn: Callable, *args: Any, **kwargs: Any) -> nn.Module:
        super()._apply(fn, *args, **kwargs)
        for target in self.frozen_targets.values():
            target.model._apply(fn)
        return self

    def init_weights(self) -> None:
        """Initialize what learns; from here on frozen targets must be there.

        Raises:
            FileNotFoundError, CheckpointError: if a target's file is missing
                or does not fit.
        """
        for target in self.frozen_targets.values():
            target.prepare()
            target.warn_if_random()
        super().init_weights()

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
        if isinstance(data_samples, BatchedSamples):
            return data_samples.fields(device)
        fields = {}
        samples = data_samples or ()
        if any('gt_label' in sample for sample in samples):
            self._labeled = True
            fields['label'] = torch.cat(
                [
                    sample.gt_label
                    if 'gt_label' in sample
                    else torch.tensor([-1], device=device)
                    for sample in samples
                ]
            ).to(device)
        elif samples and self._labeled:
            fields['label'] = torch.full((len(samples),), -1, device=device)
        if samples and all('sample_idx' in sample for sample in samples):
            index = torch.tensor([sample.sample_idx for sample in samples])
            fields['sample_idx'] = index.to(device, non_blocking=True)
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
        return self.targets[name].model(images, samples, mode='predict')

    def min_batch(self) -> tuple[int, str]:
        """The smallest batch that every loss takes, and the loss it is for."""
        return max(
            ((loss.min_batch, name) for name, loss in self.losses.items()),
            default=(1, ''),
        )

    def checkpoint_meta(self) -> dict[str, Any]:
        """What ``meta`` of a full checkpoint tells of this run's targets."""
        hashes = {k: t.fingerprint() for k, t in self.frozen_targets.items()}
        meta = {f'{name}_sha256': value for name, value in hashes.items()}
        return {'teacher_sha256': None, **meta}

    def check_meta(self, meta: Mapping[str, Any]) -> None:
        """Raise ValueError if a run had other frozen targets.

        Args:
            meta: of a checkpoint of that run.
        """
        for name, target in self.frozen_targets.items():
            before = meta.get(f'{name}_sha256')
            if before not in (None, target.fingerprint()):
                raise ValueError(
                    f'this run was started with another {name} (the SHA-256 '
                    f'of its weights was {before[:12]}…); resume with the '
                    f'same {target.setting_ckpt}, or start anew with load_from'
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


def build_model(model: dict | nn.Module) -> nn.Module:
    """A network from its config; a built one is returned as it is."""
    return model if isinstance(model, nn.Module) else MODELS.build(model)


def as_list(views: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """The views of a batch; a tensor is one view."""
    return [views] if isinstance(views, Tensor) else list(views)


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
