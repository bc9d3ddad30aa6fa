# The same with masks, which cost most of a step: half as many images, and a
# quarter of the regions, learn at once.
_base_ = './faster_rcnn_distilled.py'
model = dict(type='MaskRCNN', roi=dict(box_batch_size_per_image=16))
train_dataloader = dict(batch_size=4, dataset=dict(with_masks=True))
val_evaluator = dict(iou_types=('bbox', 'segm'))
test_evaluator = val_evaluator
