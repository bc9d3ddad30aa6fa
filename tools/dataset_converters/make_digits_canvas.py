"""Write a small set of images for detection and segmentation, offline.

Digits of scikit-learn on textured canvases, with boxes and masks in COCO's
format and maps of classes in PASCAL VOC's. It takes some seconds.
"""

import argparse


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        'folder', nargs='?', default='data/digits_canvas', help='where to'
    )
    parser.add_argument(
        '--num-train', type=int, default=1000, help='images for training'
    )
    parser.add_argument(
        '--num-val', type=int, default=200, help='images for validation'
    )
    pairs = (
        ('--size', (64, 96), ('HEIGHT', 'WIDTH'), 'of an image, in pixels'),
        ('--digits-per-image', (1, 4), ('MIN', 'MAX'), 'digits of an image'),
        ('--digit-size', (16, 36), ('MIN', 'MAX'), 'height of a digit'),
    )
    for name, default, metavar, text in pairs:
        parser.add_argument(
            name,
            type=int,
            nargs=2,
            default=default,
            metavar=metavar,
            help=text,
        )
    parser.add_argument(
        '--seed', type=int, default=0, help='of everything random'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmdistill.datasets import make_digits_canvas

    folder = make_digits_canvas(**vars(args))
    print(
        f'{args.num_train} training and {args.num_val} validation images are '
        f'in {folder}:\n'
        'CocoDetection:   data_prefix=dict(img="JPEGImages"), '
        'ann_file="annotations/instances_train.json"\n'
        'VOCSegmentation: image_set="train", '
        'classes=("background", "0", ..., "9")'
    )


if __name__ == '__main__':
    main()
