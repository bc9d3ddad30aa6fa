"""KD and SEED in a LightningModule, on scikit-learn's 8x8 digits.

    pip install lightning
    python examples/lightning_module.py

A loss that is an attribute of the module is all that it takes: Lightning
moves it to the device, saves its queue, and under DDP averages the gradients
of what it learns.
"""

import warnings

import lightning
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mmdistill.losses import KDLoss, build_loss


def network(width: int) -> nn.Sequential:
    """A feature, then the class scores."""
    features = nn.Sequential(
        nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 32)
    )
    return nn.Sequential(features, nn.Linear(32, 10))


class Classifier(lightning.LightningModule):
    """A student, and with a teacher its distillation.

    Args:
        model: network to train.
        teacher: a trained one, or None to train on the labels alone.
    """

    def __init__(
        self, model: nn.Sequential, teacher: nn.Sequential | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.history: list[float] = []
        self.teacher = teacher
        if teacher is not None:
            teacher.requires_grad_(False)
            self.kd = KDLoss(temperature=4.0)
            self.seed = build_loss('SEEDLoss', 32, 32, queue_size=512)

    def on_train_epoch_start(self) -> None:
        if self.teacher is not None:
            self.teacher.eval()  # Lightning put all modules into training

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        images, labels = batch
        features, classify = self.model
        feature = features(images)
        scores = classify(feature)
        loss = F.cross_entropy(scores, labels)
        if self.teacher is not None:
            with torch.no_grad():
                target = self.teacher[0](images)
            loss = loss + self.kd(scores, self.teacher[1](target))
            loss = loss + 0.1 * self.seed(feature, target)
        self.log('loss', loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self) -> None:
        self.history.append(float(self.trainer.callback_metrics['loss']))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        # The student's, and what the losses learn.
        learning = [p for p in self.parameters() if p.requires_grad]
        return torch.optim.AdamW(learning, lr=3e-3)


def fit(module: Classifier, epochs: int) -> list[float]:
    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(
        torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(labels)
    )
    loader = DataLoader(data, batch_size=64, shuffle=True)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator='auto',
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        # Its advice on workers is for larger data.
        warnings.filterwarnings('ignore', module='lightning')
        trainer.fit(module, loader)
    return module.history


def main(epochs: int = 5) -> list[float]:
    torch.manual_seed(0)
    teacher = network(256)
    fit(Classifier(teacher), epochs)
    history = fit(Classifier(network(8), teacher), epochs)
    print('loss of the student:', ' '.join(f'{x:.3f}' for x in history))
    return history


if __name__ == '__main__':
    main()
