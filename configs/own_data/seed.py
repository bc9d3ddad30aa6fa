# Without labels: the student learns how a self-supervised teacher compares
# an image with a queue of others (Fang et al., ICLR 2021). The teacher is
# MoCo-v2, from tools/model_converters/self_supervised_to_mmdistill.py.
_base_ = [
    '../_base_/pairs/mocov2_resnet50_resnet18_ssl_in1k.py',
    '../_base_/methods/seed.py',
    '../_base_/datasets/own_images_knn.py',
    '../_base_/schedules/own_60e.py',
    '../_base_/runtime_ssl.py',
]
model = dict(**_base_.method)
model['losses']['seed']['queue_size'] = 512  # of your images at most
