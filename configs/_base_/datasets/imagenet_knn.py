# ImageNet-1k for training without labels. Validation and testing are k-NN: the
# training images vote with their labels, prepared as in testing.
_base_ = './imagenet.py'
bank_dataloader = dict(
    batch_size=256,
    num_workers=8,
    dataset=dict(
        type='ImageNet',
        _scope_='mmdistill',
        data_root='data/imagenet',
        split='train',
        pipeline=_base_.test_pipeline,
    ),
)
train_dataloader = dict(drop_last=True)
val_evaluator = []
test_evaluator = []
# tau = 0.07 (ProtoCPC, A.3.4); which k, the papers do not say: 20 counts here.
knn = dict(
    bank_dataloader=bank_dataloader, k=(10, 20, 100, 200), temperature=0.07
)
val_cfg = dict(type='KNNValLoop', **knn)
test_cfg = dict(type='KNNTestLoop', **knn)
