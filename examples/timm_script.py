"""A timm student and a timm teacher, with timm's optimizer and schedule.

    python examples/timm_script.py

The networks are timm's smallest and start from random weights, so nothing is
downloaded; a real run changes their names and says ``pretrained=True``.
"""

import timm
import torch
from sklearn.datasets import load_digits
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter, accuracy
from torch import nn

from mmdistill.losses import build_loss


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Digits of 32x32, in a fixed random order."""
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 8
    order = torch.randperm(
        len(images), generator=torch.Generator().manual_seed(0)
    )
    images = nn.functional.interpolate(images[order] - 1, size=32)
    return images, torch.tensor(labels)[order]


def read(model: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """Any timm model's feature below its classifier, and its scores."""
    maps = model.forward_features(images)
    feature = model.forward_head(maps, pre_logits=True)
    return [feature, model.get_classifier()(feature)]


def train(
    model: nn.Module,
    teacher: nn.Module | None = None,
    epochs: int = 3,
    samples: int = 1000,
) -> list[float]:
    """The mean loss of each epoch."""
    images, labels = (x[:samples] for x in digits())
    losses = nn.ModuleList()
    if teacher is not None:
        with torch.no_grad():
            pairs = zip(
                read(model.eval(), images[:2]),
                read(teacher.eval(), images[:2]),
                strict=True,
            )
            for name, pair in zip(('RKDLoss', 'KDLoss'), pairs, strict=True):
                losses.append(build_loss(name, *pair))
    optimizer = create_optimizer_v2(
        nn.ModuleList([model, losses]), opt='adamw', lr=3e-3
    )
    scheduler, _ = create_scheduler_v2(
        optimizer, sched='cosine', num_epochs=epochs
    )
    model.train()
    history = []
    for epoch in range(epochs):
        meter = AverageMeter()
        for index in torch.randperm(len(images)).split(64):
            seen = read(model, images[index])
            loss = nn.functional.cross_entropy(seen[1], labels[index])
            if teacher is not None:
                with torch.no_grad():
                    target = read(teacher, images[index])
                for compare, s, t in zip(losses, seen, target, strict=True):
                    loss = loss + compare(s, t)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            meter.update(loss.item(), len(index))
        scheduler.step(epoch + 1)
        history.append(meter.avg)
    return history


@torch.no_grad()
def test(model: nn.Module) -> float:
    images, labels = (x[-500:] for x in digits())
    (top1,) = accuracy(model.eval()(images), labels)
    return float(top1)


def main(epochs: int = 3) -> list[float]:
    torch.manual_seed(0)
    # Of timm's test models: some 0.3 and 0.5 million parameters.
    options = dict(num_classes=10, in_chans=1)
    teacher = timm.create_model('test_resnet', **options)
    student = timm.create_model('test_efficientnet', **options)
    train(teacher, epochs=epochs)
    teacher.requires_grad_(False).eval()
    print(f'teacher: {test(teacher):.1f} %')
    history = train(student, teacher, epochs)
    print('loss of the student:', ' '.join(f'{x:.3f}' for x in history))
    print(f'student: {test(student):.1f} %')
    return history


if __name__ == '__main__':
    main()
