"""KD and CRD in a plain PyTorch loop, on scikit-learn's 8x8 digits.

    python examples/plain_pytorch.py

The teacher has all labels, a student those of 100 images. Without a teacher it
learns from these; with one also from the teacher's answers for the others.
"""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from mmdistill.losses import KDLoss, build_loss


class Network(nn.Module):
    """Two convolutions; gives the class scores and the feature below them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.classify = nn.Linear(2 * width, 10)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        feature = self.features(images)
        return self.classify(feature), feature


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 16
    return images, torch.tensor(labels)


def task_loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the labeled images, 0 if there are none."""
    total = F.cross_entropy(scores, labels, ignore_index=-1, reduction='sum')
    return total / (labels >= 0).sum().clamp(min=1)


def train(
    model: nn.Module,
    teacher: nn.Module | None = None,
    labeled: int = 100,
    epochs: int = 20,
) -> list[float]:
    """Trains on all but the last 500 digits; the mean loss of each epoch."""
    model.train()
    images, labels = digits()
    images, labels = images[:-500], labels[:-500]
    labels[labeled:] = -1  # unknown
    losses = nn.ModuleDict()
    if teacher is not None:
        # A row of the bank for every training sample.
        widths = [net.classify.in_features for net in (model, teacher)]
        losses['kd'] = KDLoss(temperature=4.0)
        losses['crd'] = build_loss(
            'CRDLoss', *widths, labels=labels, num_negatives=256
        )
    # What a loss learns (CRD's embeddings) is trained, too.
    parameters = [*model.parameters(), *losses.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    history = []
    for _ in range(epochs):
        total = 0.0
        batches = torch.randperm(len(images)).split(64)
        for index in batches:
            scores, feature = model(images[index])
            loss = task_loss(scores, labels[index])
            if teacher is not None:
                with torch.no_grad():
                    target, teacher_feature = teacher(images[index])
                loss = loss + losses['kd'](scores, target)
                loss = loss + 0.2 * losses['crd'](
                    feature, teacher_feature, index, labels[index]
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach())
        schedule.step()
        history.append(total / len(batches))
    return history


@torch.no_grad()
def accuracy(model: nn.Module) -> float:
    images, labels = digits()
    scores, _ = model.eval()(images[-500:])
    return 100 * (scores.argmax(1) == labels[-500:]).float().mean().item()


def main(epochs: int = 20) -> list[float]:
    torch.manual_seed(0)
    teacher, alone, student = Network(32), Network(8), Network(8)
    student.load_state_dict(alone.state_dict())
    train(teacher, labeled=1297, epochs=epochs)
    teacher.eval()
    print(f'teacher: {accuracy(teacher):.1f} %')
    train(alone, epochs=epochs)
    print(f'student alone: {accuracy(alone):.1f} %')
    history = train(student, teacher, epochs=epochs)
    print('loss of the student:', ' '.join(f'{x:.3f}' for x in history))
    print(f'student: {accuracy(student):.1f} %')
    return history


if __name__ == '__main__':
    main()
