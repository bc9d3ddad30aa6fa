# The digits as ever; beside the leader's accuracy those of all peers and of
# their ensemble, and how often peers disagree.
_base_ = './digits.py'
val_evaluator = [
    dict(type='Accuracy', topk=1),
    dict(type='PeerAccuracy'),
]
test_evaluator = val_evaluator
# 100 labeled images, 10 a class, as the quick start's student alone has.
train_dataloader = dict(
    dataset=dict(labelled_per_class=10, drop_unlabelled=True)
)
