from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import ModuleList
from torch import Tensor, nn

from mmdistill.models.distillers.base_distiller import (
    TASK,
    build_model,
)
from mmdistill.models.distillers.comparing import ComparingDistiller
from mmdistill.models.distillers.first_edition import own_memories
from mmdistill.models.distillers.named_teacher import (
    complete_entry,
    image_size,
)
from mmdistill.models.distillers.peer_group import (
    PeerGroup,
    build_peer_loss,
)
from mmdistill.models.distillers.target import Role, Target
from mmdistill.models.losses.lookup import loss_class
from mmdistill.models.losses.view_pairs import as_list
from mmdistill.registry import MODELS

MODES = ('network', 'branch')
SHARED_GRADIENTS = ('sum', 'mean')


@MODELS.register_module()
class OnlineDistiller(ComparingDistiller):
    """Peers that learn together and from each other, without a teacher.

    total = task_weight * sum of all peers' tasks + sum of the losses; each is
    logged under its name. The student is the leader, the last of the peers:
    it alone is validated, exported and deployed, a plain classifier without a
    trace of the others. A loss among peers (`PeerLoss`) sees all of them.

    ``mode='network'``: the peers are separate networks. ``mode='branch'``:
    the student's first stages belong to all; they run once, and the other
    peers hold what follows only (`SharedStages`).

    With a frozen teacher, losses that compare two models compare the student
    with it (MCL-OKD + KD in the paper's Table 4).

    In predictions of a model that was trained or loaded with its peers, every
    sample has ``peer_scores``, (M, K) logits, which `PeerAccuracy` reads, and
    ``ensemble_scores``, (K,), if a loss has an ensemble of its own (ONE).

    Paper: Yang et al., Multi-view Contrastive Learning for Online Knowledge
    Distillation, ICASSP 2021, https://arxiv.org/abs/2006.04093, section 3,
    Fig. 1.

    Args:
        student: MMPretrain classifier, as a config.
        losses: name to loss config; widths and ``num_peers`` are filled in.
            Without any the peers learn on their own: the paper's baselines.
        num_peers: M, with the student; 4 when None and ``peers`` is None.
        peers: configs of the M - 1 other networks, where they differ from the
            student's.
        mode: 'network' or 'branch'.
        cut: number of the last stage that branches share (stem 0, stage 1,
            ...; backbones without a stem output begin with 1).
        shared_gradient: the branches' gradients of the shared stages are
            added up ('sum'), or averaged ('mean', CL-ILR).
        teacher: MMPretrain classifier, as a config, or None.
        teacher_ckpt: the teacher's weights, as of `OfflineDistiller`.
        task_weight: factor on every peer's own loss; 0 leaves it out.
        memories, data_preprocessor, input_size, init_cfg: as of
            `OfflineDistiller`.
    Raises:
        KeyError, ValueError: when peers, cut or losses do not fit.
    Config:
        model=dict(type='OnlineDistiller', student=..., num_peers=4,
                   mode='branch', cut=1,
                   losses=dict(ensemble=dict(type='EnsembleKDLoss'),
                               mcl=dict(type='MCLLoss', loss_weight=0.025)))
    """

    def __init__(
        self,
        student: dict,
        losses: dict[str, dict] | None = None,
        num_peers: int | None = None,
        peers: Sequence[dict] | None = None,
        mode: str = 'network',
        cut: int | None = None,
        shared_gradient: str = 'sum',
        teacher: dict | nn.Module | None = None,
        teacher_ckpt: str | None = None,
        task_weight: float = 1.0,
        memories: dict[str, dict] | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        input_size: Sequence[int] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        input_size = image_size(input_size, student)
        entry: dict[str, Any] = {}
        if teacher is not None:
            entry = complete_entry(dict(model=teacher, ckpt=teacher_ckpt))
        wanted = entry.get('preprocessor')
        super().__init__(
            student,
            data_preprocessor,
            task_weight,
            None if wanted is None else dict(teacher=wanted),
            init_cfg=init_cfg,
        )
        _check_options(mode, cut, peers, shared_gradient)
        if entry:
            self.add_target(
                Target(
                    'teacher',
                    build_model(entry['model']),
                    Role.FROZEN,
                    entry.get('input_size') or input_size,
                    entry['ckpt'],
                    setting_ckpt='model.teacher_ckpt',
                )
            )
        #: The other peers; of branches, what they do not share.
        self.peers = ModuleList(
            [build_model(cfg) for cfg in self._peer_configs(num_peers, peers)]
        )
        self.group = PeerGroup(
            self.student_reader, self.peers, input_size, cut, shared_gradient
        )
        losses, _ = own_memories(losses or {}, memories)
        self._build_peer_losses(losses, input_size)
        #: Whether it was trained or loaded with its peers: an exported
        #: student comes alone.
        self.has_peers = True

    # Building ---------------------------------------------------------------
    def _peer_configs(
        self, num_peers: int | None, peers: Sequence[dict] | None
    ) -> list[dict]:
        """Configs of all peers but the student."""
        if num_peers is None:
            num_peers = 4 if peers is None else len(peers) + 1
        if num_peers < 2:
            raise ValueError(
                'OnlineDistiller needs at least two peers, the student among '
                f'them, got model.num_peers={num_peers}'
            )
        if peers is not None:
            if num_peers != len(peers) + 1:
                raise ValueError(
                    f'model.num_peers={num_peers} counts the student, but '
                    f'model.peers lists {len(peers)} others; leave one out'
                )
            return [copy.deepcopy(peer) for peer in peers]
        if self.student_cfg is None:
            raise ValueError(
                'OnlineDistiller builds its peers from model.student, which '
                f'must be a config, got a built {type(self.student).__name__}'
            )
        return [copy.deepcopy(self.student_cfg) for _ in range(num_peers - 1)]

    def _build_peer_losses(
        self, losses: dict, input_size: Sequence[int]
    ) -> None:
        losses = {k: cfg for k, cfg in losses.items() if cfg is not None}
        self._check_names(losses)
        among = {
            name: cfg
            for name, cfg in losses.items()
            if loss_class(name, cfg).compares == 'peers'
        }
        taught = {k: v for k, v in losses.items() if k not in among}
        if bool(taught) != bool(self.targets):
            raise ValueError(
                'OnlineDistiller takes losses that compare the student with '
                'a teacher together with model.teacher, got the losses '
                f'{sorted(taught)} and the targets {sorted(self.targets)}; '
                'give both or none'
            )
        if taught:
            self._build_losses(taught, input_size)
        for name, cfg in among.items():
            self.losses[name] = build_peer_loss(name, cfg, self.group.shapes)
        self._among = tuple(among)

    # One step ---------------------------------------------------------------
    def loss(
        self,
        inputs: Tensor,
        data_samples: list | None = None,
        **own_inputs: Tensor,
    ) -> dict[str, Tensor]:
        """Every loss by its name, the tasks' sum first.

        Args:
            inputs: (N, C, H, W) images.
            data_samples: N samples with labels and indices.
            own_inputs: images of a teacher that has its own, as
                ``teacher_inputs``.
        """
        self.has_peers = True
        if len(as_list(inputs)) > 1:
            raise ValueError(
                'OnlineDistiller takes one view of every image, got '
                f'{len(inputs)}; leave MultiView and MultiCrop out of '
                'train_pipeline'
            )
        peers, shared = self.group.read(inputs)
        features = [peer.feature for peer in peers]
        fields: dict[str, Any] = self.batch_fields(data_samples, inputs.device)
        fields.update(features=features, shared=shared)
        losses = {}
        if self.task_weight:
            losses[TASK] = self.task_weight * sum(
                self.task_loss(peer, data_samples, fields) for peer in peers
            )
        for name in self._among:
            loss = self.losses[name]
            given = [getattr(peer, loss.level) for peer in peers]
            value = loss(given, **self.required(name, loss, fields))
            losses[name] = self.counted(name, value)
        seen = self.read_targets([inputs], own_inputs)
        for name in self._inputs:
            losses[name] = self.compare(name, peers[-1:], seen, fields)
        return losses

    # Validation -------------------------------------------------------------
    def forward(
        self,
        inputs: Tensor,
        data_samples: list | None = None,
        mode: str = 'tensor',
        **kwargs: Any,
    ) -> Any:
        """As of every distiller; predictions have ``peer_scores`` besides."""
        if mode != 'predict' or not self.has_peers:
            return super().forward(inputs, data_samples, mode, **kwargs)
        return self._predict(inputs, data_samples)

    def _predict(self, inputs: Tensor, data_samples: list | None) -> list:
        logits: list[Tensor] = []
        handle = self.student.head.register_forward_hook(
            lambda module, args, output: logits.append(output)
        )
        try:
            with (
                self.group.sharing() as made,
                self.student_reader.feature_seen() as seen,
            ):
                samples = self.student(inputs, data_samples, mode='predict')
                others = self.group.read_others(inputs)
                features = [*(peer.feature for peer in others), seen[-1]]
                shared = self.group.shared(made, features)
        finally:
            handle.remove()
        logits = [*(peer.logits for peer in others), *logits]
        fields = dict(peer_scores=torch.stack(logits, dim=1))
        for name in self._among:
            own = self.losses[name].ensemble(logits, shared)
            if own is not None:
                fields['ensemble_scores'] = own
        for name, scores in fields.items():
            for sample, score in zip(samples, scores, strict=True):
                sample.set_field(score, name)
        return samples

    def _check_student_keys(self, state_dict: dict, prefix: str, *_) -> None:
        self.has_peers = any(
            key.startswith(f'{prefix}peers.') for key in state_dict
        )
        super()._check_student_keys(state_dict, prefix)


def _check_options(
    mode: str,
    cut: int | None,
    peers: Sequence[dict] | None,
    shared_gradient: str,
) -> None:
    if mode not in MODES or shared_gradient not in SHARED_GRADIENTS:
        raise ValueError(
            f'model.mode is one of {MODES} and model.shared_gradient of '
            f'{SHARED_GRADIENTS}, got mode={mode!r}, '
            f'shared_gradient={shared_gradient!r}'
        )
    if mode == 'branch' and (cut is None or peers is not None):
        raise ValueError(
            "model.mode='branch' needs model.cut, the last stage that is "
            'shared, and makes the peers itself: leave model.peers out; got '
            f'cut={cut}, peers={peers}'
        )
    if mode == 'network' and (cut is not None or shared_gradient != 'sum'):
        raise ValueError(
            "model.mode='network' shares nothing: leave model.cut and "
            f"model.shared_gradient out, or set model.mode='branch'; got "
            f'cut={cut}, shared_gradient={shared_gradient!r}'
        )
