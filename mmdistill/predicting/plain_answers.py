"""Answers of a network as plain dicts of numbers and NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.structures import BaseDataElement

Names = Sequence[str] | None


def classification(sample: BaseDataElement, names: Names) -> dict:
    """Label, name, score and all scores (K,)."""
    scores = sample.pred_score.float().cpu().numpy()
    label = int(scores.argmax())
    return dict(
        label=label,
        name=name_of(label, names),
        score=float(scores[label]),
        scores=scores,
    )


def detection(sample: BaseDataElement, names: Names) -> dict:
    """Boxes (n, 4), labels, names, scores, and masks (n, H, W) if any."""
    found = sample.pred_instances.cpu().numpy()
    answer = dict(
        boxes=found.bboxes.astype('float32'),
        labels=found.labels,
        names=[name_of(label, names) for label in found.labels.tolist()],
        scores=found.scores.astype('float32'),
    )
    if 'masks' in found:
        answer['masks'] = found.masks
    return answer


def segmentation(sample: BaseDataElement, names: Names) -> dict:
    """The class of every pixel, (H, W)."""
    return dict(classes=sample.pred_sem_seg.data[0].cpu().numpy())


def name_of(label: int, names: Names) -> str | None:
    """A class's name, None if it is not known."""
    return names[label] if names and label < len(names) else None


#: By the kind of a student; an encoder's feature needs no description.
DESCRIBE = dict(
    classifier=classification, detector=detection, segmentor=segmentation
)
