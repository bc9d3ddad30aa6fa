"""Find a config's mistakes: ``python tools/doctor.py CONFIG [options]``.

All of them at once, and what is fine: data, classes, parameters, memory,
steps and time. Nothing is trained or written, but a dataset that downloads
itself does so. Exit code 1 if a training would fail or mislead.
"""

import argparse
import sys

from _arguments import debug_argument
from mmengine.config import DictAction


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
        parents=[debug_argument()],
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='settings of the run, as in tools/train.py',
    )
    parser.add_argument(
        '--processes',
        type=int,
        default=1,
        help='that will train, for batches and steps; default: 1',
    )
    parser.add_argument(
        '--quick',
        action='store_true',
        help='look at the config alone, and build neither data nor model',
    )
    return parser.parse_args()


def run(args):
    from mmdistill.engine.config_files import registered_config
    from mmdistill.engine.doctor import diagnose
    from mmdistill.engine.doctor.examination import examine

    cfg = registered_config(args.config, args.cfg_options)
    findings = diagnose(cfg)
    lines = []
    misspelt = [f for f in diagnose(cfg, files=False) if f.is_error]
    if not args.quick and not misspelt:
        found = examine(cfg, args.processes, findings)
        lines, findings = found.lines, [*findings, *found.findings]
    for line in lines:
        print(f'fine: {line}')
    for finding in findings:
        print(f'{"error" if finding.is_error else "warning"}: {finding}')
    errors = sum(finding.is_error for finding in findings)
    counts = dict(mistake=errors, warning=len(findings) - errors)
    said = [f'{n} {name}{"s" * (n != 1)}' for name, n in counts.items()]
    print(f'{args.config}: {", ".join(said)}')
    if errors:
        sys.exit(1)


def main():
    args = parse_args()
    from mmdistill.engine.command import run_command

    run_command(run, args)


if __name__ == '__main__':
    main()
