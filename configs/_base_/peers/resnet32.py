# Four resnet32 on CIFAR-100 (MCL-OKD, Tables 1 to 3 and Fig. 2).
_base_ = []  # lets MMEngine import
from mmdistill.models.backbones import cifar_classifier

student = cifar_classifier('resnet32')
model = dict(
    type='OnlineDistiller',
    student=student,
    num_peers=4,
    mode='network',
    input_size=(3, 32, 32),
)
