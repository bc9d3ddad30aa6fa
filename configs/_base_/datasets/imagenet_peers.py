# ImageNet as ever; beside the leader's accuracy those of all peers and of
# their ensemble, and how often peers disagree.
_base_ = './imagenet.py'
val_evaluator = [
    dict(type='Accuracy', topk=(1, 5)),
    dict(type='PeerAccuracy'),
]
test_evaluator = val_evaluator
train_dataloader = dict(batch_size=128)  # in all, see the schedule
