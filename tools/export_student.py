"""Export a student: ``python tools/export_student.py CHECKPOINT OUT --format
FORMAT [options]``."""

import argparse

FORMATS = {
    'mmpretrain': ('.pth', '.pt'),
    'mmdet': ('.pth', '.pt'),
    'torchvision': ('.pth', '.pt'),
    'timm': ('.pth', '.pt'),
    'onnx': ('.onnx',),
    'torch-export': ('.pt2',),
}
EPILOG = """formats:
  mmpretrain    a classifier's file with its config, as ExportStudentHook
                writes it; MMPretrain alone loads it, unless the student has
                parts of mmdistill
  mmdet         the backbone alone, for init_cfg of a model of MMDetection;
                the lines for its config are printed and in meta.snippet
  torchvision   a state dict for --arch of torchvision
  timm          a state dict for --arch of timm
  onnx          logits (no softmax) of any number of images; checked with
                onnxruntime
  torch-export  the same as a program of torch.export, read by
                torch.export.load
A student without a head, such as a self-supervised encoder's backbone, gives
its pooled features: timm's num_classes=0, torchvision's network without its
classifier.

--arch: both networks are run, their layers are paired by what they see, and
an export that answers otherwise is refused. Found to answer the same:
  torchvision   ResNet, ResNeXt, wide_resnet50_2 (ResNet with base_channels
                128 and expansion 2), MobileNetV2, MobileNetV3, RegNetX (not
                400MF, whose last width differs), RegNetY (of mmdistill),
                VGG with and without BatchNorm, DenseNet, ShuffleNetV2
  timm          ResNet, ResNetV1d as resnet50d, ResNeXt, SEResNet, RepVGG,
                MobileNetV2 as mobilenetv2_100, RegNetX, RegNetY as
                regnety_006, EfficientNet and EfficientNetV2 as
                tf_efficientnet*, DenseNet, ConvNeXt, ViT and DeiT
No counterpart: EfficientNet in torchvision and timm's efficientnet_b0 (other
paddings), timm's MobileNetV3 (another epsilon), ViT in torchvision (attention
in one tensor), ConvNeXt in torchvision, timm's VGG (a convolution in its
classifier), Swin (other merging of patches), the CIFAR networks.
"""


def parse_args():
    parser = argparse.ArgumentParser(
        description='Export a student to another tool',
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'checkpoint',
        help='full checkpoint of a distillation, exported student or '
        'classifier',
    )
    parser.add_argument('out', help='file to write')
    parser.add_argument('--format', required=True, choices=FORMATS)
    parser.add_argument(
        '--arch',
        metavar='NAME',
        help="the architecture's name in torchvision or timm",
    )
    parser.add_argument(
        '--config',
        metavar='FILE',
        help='config of the training; default: the one in the checkpoint',
    )
    parser.add_argument(
        '--input-size',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help='of the images; default: what the config says',
    )
    parser.add_argument(
        '--opset',
        type=int,
        help="version of ONNX's operators; default: torch's choice",
    )
    parser.add_argument(
        '--with-preprocessing',
        action='store_true',
        help='onnx and torch-export: take images of 0 to 255 in RGB, as '
        'float32, and normalise them inside',
    )
    parser.add_argument(
        '--trust-checkpoints',
        action='store_true',
        help='load CHECKPOINT even if it holds Python objects beyond the '
        'safe ones, and import what its config names. Such a file can run '
        'any code: only for files of your own',
    )
    return parser.parse_args()


def check_args(args):
    """Find what does not go together before anything is loaded."""
    suffixes = FORMATS[args.format]
    if not args.out.endswith(suffixes):
        raise ValueError(
            f'OUT is {args.out!r} and should end in {" or ".join(suffixes)} '
            f'for --format {args.format}'
        )
    needs_arch = args.format in ('torchvision', 'timm')
    if needs_arch and args.arch is None:
        raise ValueError(
            f"--format {args.format} needs --arch, {args.format}'s name of "
            'the architecture, such as resnet18'
        )
    is_graph = args.format in ('onnx', 'torch-export')
    for given, fits, flag in (
        (args.arch, needs_arch, '--arch'),
        (args.opset, args.format == 'onnx', '--opset'),
        (args.with_preprocessing, is_graph, '--with-preprocessing'),
        (args.input_size, needs_arch or is_graph, '--input-size'),
    ):
        if given and not fits:
            raise ValueError(
                f'{flag} has no meaning for --format {args.format}; leave it '
                'out'
            )


def size_of(student, args):
    """(height, width) of the images."""
    size = args.input_size or student.input_size
    if size is None:
        raise ValueError(
            f'the config of {args.checkpoint} does not say how large images '
            'are; give --input-size HEIGHT WIDTH'
        )
    return tuple(size)


def export(args):
    """Write the file, and give what there is to say about it."""
    from mmdistill.checkpoints import atomic_save, replacing
    from mmdistill.export.graphs import to_onnx, to_torch_export
    from mmdistill.export.layouts import to_library, to_mmdet
    from mmdistill.export.students import (
        Deployed,
        ExportError,
        load_student,
        prepared_as,
        sees_bgr,
    )

    student = load_student(args.checkpoint, args.config)
    inside = args.with_preprocessing or args.format == 'mmpretrain'
    if inside and not student.knows_preprocessing:
        raise ExportError(
            f'{args.checkpoint} does not say how images were normalised, '
            f'which this export has inside: {prepared_as(student)}'
        )
    if args.format == 'mmpretrain':
        atomic_save(student.checkpoint, args.out)
        return (
            f'its config needs default_scope={student.cfg.default_scope!r}; '
            f'{prepared_as(student)}'
        )
    if args.format == 'mmdet':
        checkpoint = to_mmdet(student, args.out)
        atomic_save(checkpoint, args.out)
        return f'in a config of MMDetection:\n{checkpoint["meta"]["snippet"]}'
    size = size_of(student, args)
    if args.format in ('torchvision', 'timm'):
        state, absent = to_library(student, args.format, args.arch, size)
        atomic_save(state, args.out)
        if absent:
            return (
                'the student has no classifier: build the network without '
                f'one, or load with strict=False; not in the file: {absent}; '
                f'{prepared_as(student)}'
            )
        return f'a state dict of {args.arch}; {prepared_as(student)}'
    deployed = Deployed(
        student.model, args.with_preprocessing, sees_bgr(student.cfg)
    ).eval()
    images = student.images(size)
    if args.with_preprocessing:
        images = (128 + 64 * images).clamp(0, 255)
    if args.format == 'onnx':
        file = to_onnx(deployed, images, args.opset)
    else:
        file = to_torch_export(deployed, images)
    with replacing(args.out) as stream:
        stream.write(file)
    height, width = size
    answers = 'logits, without softmax' if deployed.classifies else 'features'
    said = prepared_as(student)
    if args.with_preprocessing:
        order = 'grey' if student.channels == 1 else 'RGB'
        said = f'images are {order}, 0 to 255; inside, {said}'
    return (
        f'from images (N, {student.channels}, {height}, {width}) to '
        f'{answers}; {said}'
    )


def main():
    args = parse_args()
    check_args(args)
    from mmdistill.checkpoints import trust_checkpoints
    from mmdistill.utils import register_all_modules

    register_all_modules()
    trust_checkpoints(args.trust_checkpoints)
    said = export(args)
    print(f'wrote {args.out}: {said}')


if __name__ == '__main__':
    main()
