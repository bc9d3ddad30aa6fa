"""The authors' self-supervised networks, under the authors' names.

Written from the modules that MoCo-v2, SwAV and DINO publish, of any width, so
that what is saved from them has exactly their layouts.
"""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

DEPTHS = {18: (BasicBlock, (2, 2, 2, 2)), 50: (Bottleneck, (3, 4, 6, 3))}


class ResNet(nn.Module):
    """torchvision's, of any width, up to the pooled feature."""

    def __init__(self, depth=50, width=64):
        super().__init__()
        block, numbers = DEPTHS[depth]
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        for stage, number in enumerate(numbers):
            blocks = []
            planes = width * 2**stage
            for i in range(number):
                stride = 2 if stage > 0 and i == 0 else 1
                downsample = None
                if stride == 2 or channels != planes * block.expansion:
                    downsample = nn.Sequential(
                        nn.Conv2d(channels, planes * block.expansion, 1,
                                  stride, bias=False),
                        nn.BatchNorm2d(planes * block.expansion),
                    )  # fmt: skip
                blocks.append(block(channels, planes, stride, downsample))
                channels = planes * block.expansion
            setattr(self, f'layer{stage + 1}', nn.Sequential(*blocks))
        self.width = channels

    def pooled(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return x.mean(dim=(2, 3))

    def forward(self, x):
        return self.pooled(x)


class MoCo(nn.Module):
    """Two encoders and a queue; the query encoder's head is called fc."""

    def __init__(self, backbone=ResNet, dim=128, hidden=2048):
        super().__init__()
        for name in ('encoder_q', 'encoder_k'):
            encoder = backbone()
            encoder.fc = nn.Sequential(
                nn.Linear(encoder.width, hidden),
                nn.ReLU(),
                nn.Linear(hidden, dim),
            )
            setattr(self, name, encoder)
        self.register_buffer('queue', torch.randn(dim, 8))
        self.register_buffer('queue_ptr', torch.zeros(1, dtype=torch.long))

    def forward(self, x):
        feature = self.encoder_q.pooled(x)
        return feature, F.normalize(self.encoder_q.fc(feature), dim=1), None


class SwAV(ResNet):
    """Pads the image in a layer of its own; head and prototypes inside."""

    def __init__(self, width=64, dim=128, hidden=2048, prototypes=3000):
        super().__init__(50, width)
        self.conv1.padding = (2, 2)
        self.projection_head = nn.Sequential(
            nn.Linear(self.width, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, dim),
        )
        self.prototypes = nn.Linear(dim, prototypes, bias=False)
        # as the training script does before every step
        with torch.no_grad():
            self.prototypes.weight.copy_(F.normalize(self.prototypes.weight))

    def forward(self, x):
        feature = self.pooled(F.pad(x, (1, 1, 1, 1)))
        embedding = F.normalize(self.projection_head(feature), dim=1)
        return feature, embedding, self.prototypes(embedding)


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        n, tokens, dim = x.shape
        q, k, v = (
            part.view(n, tokens, self.heads, -1).transpose(1, 2)
            for part in self.qkv(x).split(dim, dim=2)
        )
        weights = q @ k.transpose(2, 3) * (dim // self.heads) ** -0.5
        x = weights.softmax(dim=3) @ v
        return self.proj(x.transpose(1, 2).reshape(n, tokens, dim))


class MLP(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MLP(dim)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, patch, dim):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """DINO's: the class token behind the last LayerNorm."""

    def __init__(self, dim=384, depth=12, heads=6, image=224, patch=16):
        super().__init__()
        self.width = dim
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        tokens = (image // patch) ** 2 + 1
        self.pos_embed = nn.Parameter(torch.randn(1, tokens, dim))
        self.patch_embed = PatchEmbed(patch, dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, x):
        x = self.patch_embed(x)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = x + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, 0]


class DINOHead(nn.Module):
    """Some layers, L2, and a weight-normalized last layer."""

    def __init__(
        self, width, prototypes, dim=256, hidden=2048, norm=False, depth=3
    ):
        super().__init__()
        layers, inputs = [], width
        for _ in range(depth - 1):
            layers.append(nn.Linear(inputs, hidden))
            if norm:
                layers.append(nn.BatchNorm1d(hidden))
            layers.append(nn.GELU())
            inputs = hidden
        self.mlp = nn.Sequential(*layers, nn.Linear(hidden, dim))
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', FutureWarning)
            self.last_layer = nn.utils.weight_norm(
                nn.Linear(dim, prototypes, bias=False)
            )
        self.last_layer.weight_g.data.fill_(1)


class DINO(nn.Module):
    """What DINO calls a MultiCropWrapper."""

    def __init__(self, backbone, **head):
        super().__init__()
        self.backbone = backbone
        self.head = DINOHead(backbone.width, **head)

    def forward(self, x):
        feature = self.backbone(x)
        embedding = F.normalize(self.head.mlp(feature), dim=-1)
        return feature, embedding, self.head.last_layer(embedding)


def randomise(model):
    """Statistics and scales of BatchNorm with no two channels alike."""
    for layer in model.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.5)
            nn.init.normal_(layer.running_mean, std=0.5)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return model.eval()


def in_ddp(model):
    """The state dict as DistributedDataParallel names it."""
    return {f'module.{key}': v for key, v in model.state_dict().items()}
