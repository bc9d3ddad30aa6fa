# COCO-10K (OSS, 4.3): one of five random parts of 10,000 images that do not
# overlap; --cfg-options train_dataloader.dataset.subset.split=1 is another.
_base_ = './coco_instances.py'
train_dataloader = dict(
    dataset=dict(subset=dict(size=10000, split=0, seed=0)),
)
