"""What files are called, and which packages import which."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import mmdistill

PACKAGE = Path(mmdistill.__file__).parent
TESTS = Path(__file__).parent
#: Tests of no module, in the folder of what they are about.
OF_A_FOLDER = {'test_every_loss.py', 'test_families.py'}
#: Packages by layer, from the top; what is not here is the lowest.
LAYERS = (
    {'__main__', '__init__'},
    {'cli'},
    {'api'},
    {'losses'},  # for those who use nothing else
    {'engine'},
    {'report', 'predicting'},
    {'export'},
    {'models', 'datasets', 'evaluation'},
)


def modules() -> list[Path]:
    return [p for p in PACKAGE.rglob('*.py') if p.name != '__init__.py']


def test_a_name_stands_for_one_file():
    found = defaultdict(list)
    for path in modules():
        found[path.name].append(path.relative_to(PACKAGE).as_posix())
    several = {name: paths for name, paths in found.items() if paths[1:]}
    assert not several


def test_tests_lie_as_the_modules_do():
    """Those of ``a/b.py`` in ``test_a/test_b.py``; the tools have theirs."""
    modules_of_tests = {
        '/'.join(f'test_{part}' for part in path.relative_to(PACKAGE).parts)
        for path in modules()
    }
    wrong = [
        where
        for path in TESTS.glob('test_*/**/test_*.py')
        if (where := path.relative_to(TESTS).as_posix())
        and not where.startswith('test_tools/')
        and path.name not in OF_A_FOLDER
        and where not in modules_of_tests
    ]
    assert not wrong


def layer(name: str) -> int:
    """Number of a package's or a module's layer, 0 for the lowest."""
    for number, names in enumerate(reversed(LAYERS), 1):
        if name in names:
            return number
    return 0


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """What a module imports of ours, in functions too, and the line."""
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: a relative import'
            names = [f'{node.module}.{alias.name}' for alias in node.names]
        for name in names:
            package, _, rest = name.partition('.')
            if package == 'mmdistill':
                yield rest.partition('.')[0], node.lineno


def test_every_layer_is_there():
    for name in set.union(*LAYERS):
        package, module = PACKAGE / name, PACKAGE / f'{name}.py'
        assert (package / '__init__.py').is_file() or module.is_file()


def test_imports_go_down_only():
    """Packages of one layer, but for the lowest, import nothing of others."""
    wrong = []
    for path in PACKAGE.rglob('*.py'):
        where = path.relative_to(PACKAGE)
        own = where.parts[0].removesuffix('.py')
        for other, line in imported(path):
            is_up = layer(other) >= max(layer(own), 1)
            if other != own and is_up:
                wrong.append(f'{where}:{line} imports {other}')
    assert not wrong, wrong
