# FT's paraphraser learns with 0.01 where the student is a resnet or a WRN, as
# in the reference repository.
_base_ = './cifar_30e_240e.py'
train_cfg = dict(
    warmup_optim_wrapper=dict(
        optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4)
    )
)
