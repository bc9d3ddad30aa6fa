"""Features of pictures: ``python tools/embed.py STUDENT INPUT ... --out FILE
[options]``."""

import argparse

from _pictures import picture_arguments, trusting


def parse_args():
    parser = argparse.ArgumentParser(
        description="Write the features of pictures, what a student's last "
        'layer sees, into a file',
        parents=[picture_arguments()],
    )
    parser.add_argument(
        '--out',
        required=True,
        metavar='FILE',
        help='.npz with features (N, D) and paths, .npy with the features '
        'alone, or .csv with a path and its feature a row',
    )
    parser.add_argument(
        '--normalize', action='store_true', help='features of length 1'
    )
    return parser.parse_args()


def run(args):
    trusting(args)
    from mmdistill.predicting import embed_files

    features, _ = embed_files(
        args.student,
        args.inputs,
        args.out,
        args.batch_size,
        args.device,
        args.config,
        args.normalize,
        args.skip_errors,
    )
    count, width = features.shape
    print(f'wrote {args.out}: {count} features of {width} numbers')


def main():
    args = parse_args()
    from mmdistill.engine.command import run_command

    run_command(run, args)


if __name__ == '__main__':
    main()
