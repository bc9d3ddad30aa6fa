"""What most users need, in one call each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mmdistill.engine.own_run import Result, run

__all__ = ['Result', 'distill']


def distill(
    data: str | os.PathLike,
    student: str | dict,
    teacher: str | dict | None = None,
    method: str = 'kd',
    out: str | os.PathLike | None = None,
    *,
    resume: bool = False,
    train_teacher: bool = False,
    export: str | None = None,
    options: Mapping[str, Any] | None = None,
    val: str | os.PathLike | None = None,
    labels: bool | None = None,
    val_share: float = 0.2,
    seed: int = 0,
    flip: bool = True,
    size: int | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    lr: float | None = None,
    workers: int | None = None,
) -> Result:
    """Train a student on your images, taught by a teacher.

    The data is looked at, and what follows from it is chosen and printed:
    classes, image size, batch size, epochs, learning rate, queues. An ordinary
    config is written to ``out/config.py`` and trained as ``mmdistill train``
    trains it. In ``out`` are then ``student.pth``, ``student_best.pth``, the
    lists of the images, checkpoints and logs.

    Args:
        data: a folder with a folder for each class; one with ``train`` and
            ``val`` (or ``test``), each with class folders; images at any depth
            without classes; or a list, an image and its class a line.
        student: a model by name, a checkpoint file, or ``dict(type=NAME,
            pretrained=True, ...)``.
        teacher: the same; by name with its published weights.
        method: a name of ``mmdistill list methods``; 'task' is the student
            alone.
        out: the folder of the run; ``work_dirs/<data>_<method>`` when None.
        resume: go on with the run in ``out`` as its config says.
        train_teacher: train the teacher on the data first, into
            ``out/teacher``.
        export: a format of ``mmdistill list formats`` to export to.
        options: settings of the config by path, such as
            ``{'model.losses.kd.temperature': 2.0}``.
        val: validation images, as ``data``.
        labels: False for images without classes, whatever folders they are in.
        val_share: part of each class to validate with, if there is no ``val``.
        seed: of the run, and of the choice of validation images.
        flip: mirror training images at random.
        size, batch_size, epochs, lr, workers: in place of what is chosen.
    Raises:
        DataError: for images that cannot be trained on, or a teacher of other
            classes.
        ValueError: for an unknown method, model or format.
        FileExistsError: if ``out`` holds another run.
    """
    return run(
        data,
        student,
        teacher,
        method,
        out,
        resume,
        train_teacher,
        export,
        options,
        val,
        labels,
        val_share,
        seed,
        flip,
        size=size,
        batch_size=batch_size,
        epochs=epochs,
        lr=lr,
        workers=workers,
    )
