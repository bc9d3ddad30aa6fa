"""An encoder of digits that learns without labels."""

import copy

GAP = dict(type='GlobalAveragePooling')

HEAD = dict(type='ProjectionHead', hidden_dim=12, out_dim=6, normalize=True)

PROTOTYPES = dict(type='PrototypeHead', num_prototypes=20)


def digits_encoder(depth=8, widths=(4, 4, 8, 16), **kwargs):
    backbone = dict(
        type='CIFARResNet', depth=depth, widths=widths, in_channels=1
    )
    cfg = dict(
        type='SelfSupervisedEncoder',
        backbone=backbone,
        neck=GAP,
        head=HEAD,
        prototypes=PROTOTYPES,
    )
    return copy.deepcopy({**cfg, **kwargs})
