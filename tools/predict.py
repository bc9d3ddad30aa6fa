"""What a student says of pictures: ``python tools/predict.py STUDENT INPUT
... [options]``, a line each."""

import argparse

from _pictures import picture_arguments, trusting


def parse_args():
    parser = argparse.ArgumentParser(
        description='Print what a student says of pictures: the classes of a '
        'classifier, the objects of a detector, the shares of classes of a '
        'segmentor',
        parents=[picture_arguments()],
    )
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='write the answers, too: .csv or .json',
    )
    parser.add_argument(
        '--top',
        type=int,
        default=5,
        metavar='K',
        help='classes or objects of a picture that are shown; default: 5',
    )
    return parser.parse_args()


def run(args):
    trusting(args)
    from mmdistill.predicting import predict_files

    records = predict_files(
        args.student,
        args.inputs,
        args.out,
        args.top,
        args.batch_size,
        args.device,
        args.config,
        args.skip_errors,
    )
    if args.out is not None:
        print(f'wrote {args.out}: the answers for {len(records)} pictures')


def main():
    args = parse_args()
    from mmdistill.engine.command import run_command

    run_command(run, args)


if __name__ == '__main__':
    main()
