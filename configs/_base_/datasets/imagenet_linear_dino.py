# ImageNet-1k for DINO's linear evaluation: its batch, and test images resized
# bicubically.
_base_ = './imagenet.py'
load, resize, *rest = _base_.test_pipeline
test_pipeline = [load, dict(resize, interpolation='bicubic'), *rest]
# On one GPU; with W processes divide by W.
train_dataloader = dict(batch_size=1024)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
