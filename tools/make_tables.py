"""Write the READMEs' tables of results, the metafiles and model-index.yml.

    python tools/make_tables.py          # from configs/results.yml
    python tools/make_tables.py --check  # only say which are not current

configs/results.yml says how it is written.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
NOTICE = '# Made by tools/make_tables.py from configs/results.yml.\n'
#: A table in a README: its mark with its name, its lines, the mark of its end.
TABLE = re.compile(r'(<!-- results: (\w+) -->\n)(.*?)(<!-- end -->\n)', re.S)


def main(args: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--check',
        action='store_true',
        help='write nothing; exit with 1 if a file is not current',
    )
    check = parser.parse_args(args).check
    stale = [
        (path, text)
        for path, text in made_files(root)
        if not path.is_file() or path.read_text() != text
    ]
    for path, text in stale:
        if not check:
            path.write_text(text)
        verb = 'is not current' if check else 'written'
        print(f'{path.relative_to(root)} {verb}')
    if check and stale:
        print('run `python tools/make_tables.py`')
    return int(check and bool(stale))


def made_files(root: Path) -> Iterator[tuple[Path, str]]:
    """Every file that is made, and its text."""
    configs = root / 'configs'
    # BaseLoader leaves figures as they are printed.
    results = yaml.load(
        (configs / 'results.yml').read_text(), Loader=yaml.BaseLoader
    )
    folders = results['folders']
    for name, folder in folders.items():
        for table in folder.setdefault('tables', {}).values():
            complete(table, configs / name)
    alone = {
        row['config']: row['values']['paper']
        for row in folders['vanilla']['tables']['cifar100']['rows']
    }
    for name, folder in folders.items():
        readme = configs / name / 'README.md'
        yield readme, with_tables(readme, folder['tables'], alone)
        models = metafile(configs / name, folder, results['datasets'])
        yield configs / name / 'metafile.yml', models
    imports = [f'configs/{name}/metafile.yml' for name in folders]
    yield root / 'model-index.yml', NOTICE + dump(dict(Import=imports))


def complete(table: dict, folder: Path) -> None:
    """Make each row a dict with a value for each column.

    Raises:
        ValueError: if a config is not there, a row has too many values, or
            one of ours does not say which run gave it.
    """
    given = [
        c for c, metric in table['columns'].items() if not derived(metric)
    ]
    for i, row in enumerate(table['rows']):
        if isinstance(row, list):
            row = dict(config=row[0], values=row[1:])
        row = dict(options=table.get('options', ''), values=[]) | row
        if 'text' not in row:
            path = folder.parent / config_path(folder, row['config'])
            if not path.is_file():
                raise ValueError(f'{row["config"]}: there is no {path}')
        values = row['values']
        if len(values) > len(given):
            raise ValueError(
                f'{folder.name}: {values} are more than the columns {given}'
            )
        values = values + [''] * (len(given) - len(values))
        row['values'] = dict(zip(given, values, strict=True))
        ours = [v for c, v in row['values'].items() if c.startswith('ours')]
        if any(ours) and 'run' not in table:
            raise ValueError(
                f'{folder.name}: {ours} were measured; say in `run` with '
                'which seeds, and where the command is'
            )
        table['rows'][i] = row


def config_path(folder: Path, config: str) -> str:
    """Of a config of this folder, or of another by 'folder/config'."""
    return f'{config if "/" in config else f"{folder.name}/{config}"}.py'


def derived(metric: str) -> bool:
    """Whether a column's figures are those of the tables of vanilla/."""
    return metric.startswith('vanilla ')


def with_tables(readme: Path, tables: dict, alone: dict[str, str]) -> str:
    """A README's text with its tables made anew.

    Raises:
        ValueError: if it has a mark without a table, or the reverse.
    """
    text = readme.read_text()
    marks = [name for _, name, *_ in TABLE.findall(text)]
    if sorted(marks) != sorted(tables):
        raise ValueError(
            f'{readme} has marks of {marks}; configs/results.yml has '
            f'{list(tables)}'
        )
    return TABLE.sub(
        lambda m: m[1] + markdown(tables[m[2]], readme.parent, alone) + m[4],
        text,
    )


def markdown(table: dict, folder: Path, alone: dict[str, str]) -> str:
    columns = table['columns']
    lines = [[table.get('first', 'config'), *columns]]
    for row in table['rows']:
        cells = row['values']
        if any(map(derived, columns.values())):
            cells = cells | alone_figures(row['config'], columns, alone)
        # options of the whole table are in the text before it
        shown = row['options'] if 'options' not in table else ''
        lines.append([label(row, folder, shown), *map(cells.get, columns)])
    head, *body = (
        '|' + ''.join(f' {cell} |' if cell else ' |' for cell in line) + '\n'
        for line in lines
    )
    return ''.join([head, '|---' * len(lines[0]) + '|\n', *body])


def label(row: dict, folder: Path, options: str) -> str:
    """A row's first cell: a link to its config, its options and its note."""
    if 'text' in row:
        return row['text']
    path = config_path(folder, row['config'])
    link = path.removeprefix(f'{folder.name}/')
    link = f'../{link}' if '/' in link else link
    parts = [f'[{Path(path).name}]({link})']
    if options:
        parts.append(f'`--cfg-options {options}`')
    if 'note' in row:
        parts.append(row['note'])
    return ', '.join(parts)


def alone_figures(
    config: str, columns: dict, alone: dict[str, str]
) -> dict[str, str]:
    """What teacher and student of this config's pair have by themselves."""
    for teacher in alone:
        for student in alone:
            pair = f'_{teacher.removesuffix("_cifar100")}_{student}'
            if config.endswith(pair):
                who = {
                    'vanilla teacher': alone[teacher],
                    'vanilla student': alone[student],
                }
                return {c: who[m] for c, m in columns.items() if derived(m)}
    raise ValueError(f'{config} names no pair of {sorted(alone)}')


def metafile(folder: Path, entry: dict, datasets: dict[str, str]) -> str:
    """The folder's models with the figures that are known of each."""
    name = f'configs/{folder.name}'
    paper = dict(Title=entry['paper'])
    if 'url' in entry:
        paper['URL'] = entry['url']
    collection = dict(
        Name=entry['name'], README=f'{name}/README.md', Paper=paper
    )
    models = []
    for leaf in sorted(folder.glob('*.py')):
        model = {
            'Name': leaf.stem,
            'In Collection': entry['name'],
            'Config': f'{name}/{leaf.name}',
        }
        found = [
            dict(Task=entry.get('task', 'Image Classification'), **result)
            for table in entry['tables'].values()
            for row in table['rows']
            if row.get('config') == leaf.stem
            for result in figures(row, table, datasets)
        ]
        if found:
            model['Results'] = found
        models.append(model)
    return NOTICE + dump(dict(Collections=[collection], Models=models))


def figures(
    row: dict, table: dict, datasets: dict[str, str]
) -> Iterator[dict]:
    """The paper's figures of a row, then ours, each with its source."""
    config = row['config']
    named = [title for key, title in datasets.items() if f'_{key}' in config]
    if len(named) != 1:
        raise ValueError(f'{config} names {len(named)} of {sorted(datasets)}')
    sources = table.get('source'), f'measured: {table.get("run")}'
    for mine, source in enumerate(sources):
        metrics = {
            metric: number(row['values'][column])
            for column, metric in table['columns'].items()
            if metric
            and not derived(metric)
            and column.startswith('ours') == mine
            and row['values'][column]
        }
        if metrics:
            result = dict(Dataset=named[0], Metrics=metrics, Source=source)
            if row['options']:
                result['Options'] = row['options']
            if 'note' in row:
                result['Note'] = row['note']
            yield result


def number(text: str) -> float | str:
    """As a number, unless it is one with a deviation, or two."""
    try:
        return float(text)
    except ValueError:
        return text


def dump(data: dict) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


if __name__ == '__main__':
    sys.exit(main())
