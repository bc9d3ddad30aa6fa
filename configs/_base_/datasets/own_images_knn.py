# Your images, to train without labels: data_root/train at any depth. If both
# folders have class folders, k-NN says how good the features are; otherwise
# set val_cfg = val_dataloader = val_evaluator = None.
_base_ = './own_images.py'
train_dataloader = dict(dataset=dict(with_label=False))
bank_dataloader = dict(
    batch_size=64,
    num_workers=4,
    dataset=dict(
        type='OwnImages',
        data_root=_base_.data_root,
        data_prefix='train',
        pipeline=_base_.test_pipeline,
    ),
)
val_evaluator = []
test_evaluator = []
knn = dict(bank_dataloader=bank_dataloader, k=(20,), temperature=0.07)
val_cfg = dict(type='KNNValLoop', **knn)
test_cfg = dict(type='KNNTestLoop', **knn)
