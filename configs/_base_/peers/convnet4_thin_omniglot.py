# Four thin networks, a quarter of the papers' channels, for trying out.
_base_ = './convnet4_omniglot.py'
model = dict(
    student=dict(
        backbone=dict(widths=(16, 16, 16, 16)), head=dict(in_channels=16)
    )
)
