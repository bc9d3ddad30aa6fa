_base_ = './baseline_branch_resnet32_cifar100.py'
model = dict(num_peers=6)
