# Four VGG-16 on CIFAR-100 (MCL-OKD, Tables 1 to 3): the layers of the authors'
# code, and the zoo's pooling, one mean where theirs has two more maxima.
_base_ = []  # lets MMEngine import
from mmdistill.models.backbones import cifar_classifier

student = cifar_classifier('vgg16')
model = dict(
    type='OnlineDistiller',
    student=student,
    num_peers=4,
    mode='network',
    input_size=(3, 32, 32),
)
