# The same without a pyramid: regions of the map of stride 16, of images twice
# as large, go through the backbone's last stage; half as many regions learn.
_base_ = './faster_rcnn_distilled.py'
model = dict(
    neck='c4',
    anchor_sizes=((32, 48, 64, 80),),
    min_size=128,
    max_size=192,
    roi=dict(box_batch_size_per_image=16),
)
