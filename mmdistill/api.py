"""The functions that most need: distill, and models by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ['Result', 'distill', 'get_model', 'list_models', 'load']


@dataclass(frozen=True)
class Result:
    """What a run left.

    Attributes:
        config: path of its config.
        student: path of the student of the last step.
        best: path of the student of the best validation, if there was one.
        accuracy: of the last validation, in percent; None without labels.
        teacher_accuracy: of the teacher on the same images.
        exported: path of the file in another format, if one was asked for.
        report: path of the report, if one was made.
    """

    config: str
    student: str
    best: str | None
    accuracy: float | None
    teacher_accuracy: float | None
    exported: str | None = None
    report: str | None = None


def distill(
    data: str | os.PathLike,
    student: str,
    teacher: str | None = None,
    method: str = 'kd',
    out: str | os.PathLike = 'work_dirs/distilled',
    *,
    val: str | os.PathLike | None = None,
    teacher_ckpt: str | None = None,
    pretrained: bool = False,
    size: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    workers: int | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    resume: bool = False,
    export: str | None = None,
    command: str = '',
) -> Result:
    """Train a student on a folder of images, taught by a teacher.

    What is not given is chosen from the images and printed. An ordinary
    config is written into ``out`` and trained; ``mmdistill train
    out/config.py`` trains it again.

    Args:
        data: class folders (``train/`` and ``val/``, or the classes alone), a
            list of lines 'path label', or a folder of unlabeled images at any
            depth; see `scan_images`.
        student: name of a model, such as 'timm/resnet18', or a checkpoint to
            start from; see `resolve_model`.
        teacher: the same; its published weights are taken.
        method: one of ``configs/_base_/methods``; 'task' for the student
            alone.
        out: folder of the run.
        val: validation images, if they lie elsewhere.
        teacher_ckpt: file of the teacher's weights, in place of those that
            come with it.
        pretrained: start the student from its published weights.
        size: height and width of the images.
        epochs, batch_size, lr, workers: of training.
        seed: of the run, and of the split where one is drawn.
        options: other settings of the config, by path, such as
            ``{'model.losses.kd.temperature': 2}``.
        resume: go on from the newest checkpoint in ``out``.
        export: also write the student in this format ('onnx',
            'torch-export').
        command: how it was asked for, for the config's first line.
    Returns:
        paths and accuracies.
    Raises:
        ValueError, FileNotFoundError: before anything is trained, for what
            does not fit; each says what to do.
    """
    from mmdistill.engine.own_run import prepare_run
    from mmdistill.engine.tool_runs import train_config

    _register()
    run = prepare_run(
        data,
        student,
        teacher,
        method,
        out,
        val=val,
        teacher_ckpt=teacher_ckpt,
        pretrained=pretrained,
        options=options,
        seed=seed,
        command=command,
        size=size,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        workers=workers,
    )
    print(run.summary(), flush=True)
    metrics = train_config(run.config, run.work_dir, resume)
    folder = Path(run.work_dir)
    best, report = folder / 'student_best.pth', folder / 'report.html'
    student_file = folder / 'student.pth'
    exported = None
    if export is not None:
        exported = _export(str(student_file), export)
    return Result(
        run.config,
        str(student_file),
        str(best) if best.is_file() else None,
        metrics.get('accuracy/top1'),
        metrics.get('teacher/accuracy/top1'),
        exported,
        str(report) if report.is_file() else None,
    )


def _register() -> None:
    """Let names of ours be found, outside a run, too."""
    from mmdistill.utils import register_all_modules

    register_all_modules()


def _export(path: str, name: str) -> str:
    from mmdistill.export import ExportOptions, export_student
    from mmdistill.export.formats import all_formats

    suffix = all_formats()[name].suffixes[0] if name in all_formats() else ''
    out = str(Path(path).with_suffix(suffix or '.out'))
    said = export_student(
        path, out, name, ExportOptions(with_preprocessing=True)
    )
    print(f'wrote {out}: {said}')
    return out


def load(path: str | os.PathLike, device: str = 'cpu') -> Any:
    """A student that answers for pictures; see `Predictor`.

    Args:
        path: ``student.pth``, ``student_best.pth`` or a full checkpoint.
        device: where it runs.
    """
    from mmdistill.predicting import load

    return load(path, device)


def get_model(name: str | Mapping[str, Any], **options: Any) -> Any:
    """Build a model by name; see `mmdistill.models.zoo.get_model`."""
    from mmdistill.models.zoo import get_model

    _register()
    return get_model(name, **options)


def list_models(pattern: str = '*') -> list[str]:
    """Names of models; see `mmdistill.models.zoo.list_models`."""
    from mmdistill.models.zoo import list_models

    _register()
    return list_models(pattern)
