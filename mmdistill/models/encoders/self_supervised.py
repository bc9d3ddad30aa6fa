from __future__ import annotations

from typing import Any

from mmengine.model import BaseModel
from mmpretrain.models.utils import to_2tuple
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmdistill.checkpoints import loading_policy
from mmdistill.models.probing import DRY_RUN_SIZE, dry_run
from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
)
from mmdistill.ops import l2_normalize
from mmdistill.registry import MODELS


@MODELS.register_module()
class SelfSupervisedEncoder(BaseModel):
    """A backbone with a projection head and prototypes, without labels.

    feature = neck(backbone(x)), embedding = head(feature), logits =
    prototypes(embedding / |embedding|). It has no loss of its own: it is the
    student or the teacher of a distiller.

    Args:
        backbone: config of a CNN or a ViT.
        neck: pools the backbone's maps; None if the backbone returns vectors,
            such as a ViT's class token.
        head: maps the feature (N, D) to the embedding (N, E), such as
            `ProjectionHead`. Its ``in_dim`` is filled in.
        prototypes: maps the L2-normalized embedding (the feature, if there is
            no head) to scores, such as `PrototypeHead`. Its ``in_dim`` is
            filled in.
        data_preprocessor: config of the image preprocessor; its type defaults
            to ``ClsDataPreprocessor``.
        init_cfg: MMEngine's initialization config.
    Raises:
        ValueError: if backbone and neck do not return vectors, or an
            ``in_dim`` cannot be inferred.
    Config:
        student=dict(type='SelfSupervisedEncoder',
                     backbone=dict(type='ResNet', depth=18),
                     neck=dict(type='GlobalAveragePooling'),
                     head=dict(type='ProjectionHead', hidden_dim=2048),
                     prototypes=dict(type='PrototypeHead',
                                     num_prototypes=65536))
    """

    def __init__(
        self,
        backbone: dict | nn.Module,
        neck: dict | nn.Module | None = None,
        head: dict | nn.Module | None = None,
        prototypes: dict | nn.Module | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if not isinstance(data_preprocessor, nn.Module):
            data_preprocessor = {
                'type': 'ClsDataPreprocessor',
                **(data_preprocessor or {}),
            }
        super().__init__(_build(data_preprocessor), init_cfg)
        self.backbone = _build(backbone)
        self.neck = _build(neck)
        self.head = self.prototypes = None
        self.head = self._build_next('head', head)
        self.prototypes = self._build_next('prototypes', prototypes)

    def init_weights(self) -> None:
        """Initialize it; files are read by our policy."""
        with loading_policy():
            super().init_weights()

    def _build_next(
        self, name: str, cfg: dict | nn.Module | None
    ) -> nn.Module | None:
        """Build the next part; infer its ``in_dim`` from the parts before."""
        if isinstance(cfg, dict) and 'in_dim' not in cfg:
            cfg = {**cfg, 'in_dim': self._width(name)}
        return _build(cfg)

    def _width(self, part: str) -> int:
        """Output width of the parts built so far, by a dry run."""
        conv = next(p for p in self.backbone.parameters() if p.ndim == 4)
        size = to_2tuple(getattr(self.backbone, 'img_size', DRY_RUN_SIZE))
        dry = dry_run(
            self,
            self,
            (conv.shape[1], *size),
            'SelfSupervisedEncoder',
            f'set {part}.in_dim, the width that it takes',
        )
        return (dry.feature if self.head is None else dry.embedding).shape[1]

    def project(
        self, feature: Tensor, **kwargs: Any
    ) -> tuple[Tensor | None, Tensor | None]:
        """Embedding and prototype scores of a pooled feature.

        Args:
            feature: (N, D).
            kwargs: passed to the head, such as ``dropout=False``.
        Returns:
            (N, E) and (N, K), each None if the encoder lacks that part.
        """
        if feature.ndim != 2:
            raise ValueError(
                'SelfSupervisedEncoder takes one vector an image from its '
                f'backbone and neck, got shape {tuple(feature.shape)}; set '
                "neck=dict(type='GlobalAveragePooling'), or out_type="
                "'cls_token' of a token backbone"
            )
        embedding = None
        if self.head is not None:
            embedding = self.head(feature, **kwargs)
        if self.prototypes is None:
            return embedding, None
        scored = feature if embedding is None else embedding
        return embedding, self.prototypes(l2_normalize(scored))

    def extract_feat(
        self, inputs: Tensor, stage: str = 'neck'
    ) -> Tensor | tuple[Tensor, ...]:
        """As ``ImageClassifier.extract_feat``.

        Args:
            inputs: (N, C, H, W).
            stage: 'backbone' and 'neck' return a tuple, 'pre_logits' the
                feature (N, D).
        """
        stages = ('backbone', 'neck', 'pre_logits')
        if stage not in stages:
            raise ValueError(
                f'extract_feat knows stage={stages}, got {stage!r}'
            )
        outputs = self.backbone(inputs)
        if stage != 'backbone' and self.neck is not None:
            outputs = self.neck(outputs)
        if stage == 'pre_logits' and isinstance(outputs, tuple):
            return outputs[-1]
        return outputs

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[DataSample] | None = None,
        mode: str = 'tensor',
    ) -> Representation | list[DataSample]:
        """Run the encoder.

        Args:
            inputs: (N, C, H, W).
            data_samples: N samples, for mode 'predict'.
            mode: 'tensor' returns the `Representation` without maps,
                'predict' the samples with the pooled feature (D,) as
                ``feature``.
        """
        if mode == 'tensor':
            return RepresentationReader(self)(inputs)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        raise ValueError(
            "SelfSupervisedEncoder knows mode='tensor' and 'predict', got "
            f'{mode!r}; its losses are those of a distiller whose '
            'model.student it is'
        )

    def predict(
        self, inputs: Tensor, data_samples: list[DataSample] | None = None
    ) -> list[DataSample]:
        """The samples, each with its pooled feature (D,) as ``feature``."""
        features = self.extract_feat(inputs, stage='pre_logits')
        if data_samples is None:
            data_samples = [DataSample() for _ in features]
        samples = list(data_samples)
        for sample, feature in zip(samples, features, strict=True):
            sample.set_field(feature, 'feature')
        return samples


def _build(part: dict | nn.Module | None) -> nn.Module | None:
    return MODELS.build(part) if isinstance(part, dict) else part
