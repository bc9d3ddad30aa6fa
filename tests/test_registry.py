"""Names, scopes and the two ways in which plug-ins come in."""

import subprocess
import sys

import mmpretrain.registry
import pytest
from mmengine.registry import Registry

from mmdistill import registry

#: Those without a parent of MMPretrain's.
ALONE = {'EXPORT_FORMATS'}
OURS = {
    name: getattr(registry, name)
    for name in registry.__all__
    if name not in ALONE
}


def test_every_registry_of_mmpretrain_has_a_child():
    parents = {
        name
        for name in mmpretrain.registry.__all__
        if isinstance(getattr(mmpretrain.registry, name), Registry)
    }
    assert parents == set(OURS)
    for name, child in OURS.items():
        assert child.parent is getattr(mmpretrain.registry, name)
        assert child.scope == 'mmdistill'


def registered_above(child: Registry) -> set[str]:
    names, parent = set(), child.parent
    while parent is not None:
        names |= set(parent.module_dict)
        parent = parent.parent
    return names


@pytest.mark.parametrize('name', sorted(OURS))
def test_no_name_shadows_a_parents(name):
    import_everything()
    shadows = set(OURS[name].module_dict) & registered_above(OURS[name])
    # On purpose: MMEngine's Pretrained leaves at random what does not fit, and
    # its CheckpointHook deletes the last good file before it has the next, and
    # its wrappers clip all gradients jointly (--amp sets the type by name).
    ours = dict(
        HOOKS={'CheckpointHook'},
        OPTIM_WRAPPERS={'OptimWrapper', 'AmpOptimWrapper'},
        WEIGHT_INITIALIZERS={'Pretrained'},
    )
    assert shadows == ours.get(name, set())


def import_everything():
    from mmdistill.utils import register_all_modules

    register_all_modules()
    for child in OURS.values():
        child.import_from_location()


def test_parts_are_registered():
    import_everything()
    expected = dict(
        MODELS='OfflineDistiller KDLoss CRDLoss ProtoCPCLoss InfoNCELoss '
        'ATLoss RKDLoss FeatureQueue InstanceBank CIFARResNet',
        HOOKS='MomentumUpdateHook QueueHook TeacherCheckHook '
        'ExportStudentHook ResumeStateHook',
        DATASETS='Digits',
    )
    for name, parts in expected.items():
        assert set(parts.split()) <= set(OURS[name].module_dict)


@pytest.mark.parametrize(
    'name, part',
    [('MODELS', 'ImageClassifier'), ('HOOKS', 'CheckpointHook'),
     ('DATASETS', 'CIFAR100'), ('OPTIMIZERS', 'SGD')])  # fmt: skip
def test_parents_parts_are_found_without_a_prefix(name, part):
    assert OURS[name].get(part).__name__ == part


def run(code: str, **env) -> str:
    import os

    done = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        env=os.environ | env,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_import_is_quiet_and_builds_by_scope():
    code = (
        'import mmdistill\n'
        'from mmpretrain.registry import MODELS\n'
        "net = MODELS.build(dict(type='mmdistill.CIFARResNet', depth=8))\n"
        'print(net.depth)'
    )
    assert run(code).strip() == '8'


def test_registering_everything_is_quiet():
    code = (
        'from mmdistill.utils import register_all_modules\n'
        'register_all_modules()\n'
        'from mmdistill.registry import MODELS\n'
        "print(MODELS.build(dict(type='KDLoss')).temperature)"
    )
    assert run(code).strip() == '4.0'


IMPORT = """
import sys
import mmcv, mmengine.hooks, mmengine.fileio, torch, torchvision
import mmpretrain.apis, mmpretrain.datasets, mmpretrain.engine
import mmpretrain.models
from mmengine.runner import FlexibleRunner, Runner

LIBRARIES = ('mmengine', 'mmcv', 'mmpretrain', 'torch')

def attributes():
    found = {}
    for name, module in list(sys.modules.items()):
        if name.partition('.')[0] not in LIBRARIES or module is None:
            continue
        for owner in (module, *vars(module).values()):
            if owner is module or (
                isinstance(owner, type) and owner.__module__ == name
            ):
                for key, value in list(vars(owner).items()):
                    label = getattr(owner, '__qualname__', '')
                    found[name, label, key] = value
    return found

before = attributes()
modules = {name for name, *_ in before}
import mmdistill
from mmdistill.utils import register_all_modules
register_all_modules()
after = attributes()
for key, value in before.items():
    if after.get(key) is not value:
        print('changed', key)
for (name, label, key), value in after.items():
    # A module that is imported for the first time stands in its parent.
    if (name, label, key) not in before and not (
        name not in modules or isinstance(value, type(sys))
    ):
        print('new', (name, label, key))
if len(before) > 10_000:
    print('compared')
"""


def test_importing_changes_nothing_elsewhere():
    """Every attribute of the libraries is the same object as before."""
    said = run(IMPORT)
    assert 'changed (' not in said and 'new (' not in said
    assert 'compared' in said


PLUGIN = """
from mmdistill.registry import MODELS
from mmdistill.models.losses import DistillLoss

@MODELS.register_module()
class PluggedLoss(DistillLoss):
    level = 'logits'
    def forward(self, student, teacher):
        return self.loss_weight * (student - teacher).abs().mean()
"""


@pytest.mark.parametrize('broken', [False, True])
def test_entry_point_plug_ins(tmp_path, broken):
    """An installed distribution announces a module by an entry point."""
    (tmp_path / 'plugged.py').write_text('1 / 0' if broken else PLUGIN)
    info = tmp_path / 'plugged-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: plugged\n')
    (info / 'entry_points.txt').write_text(
        '[mmdistill.plugins]\nmy_loss = plugged\n'
    )
    code = f"""
import sys
sys.path.append({str(tmp_path)!r})
from mmdistill.utils import register_all_modules
try:
    register_all_modules()
except ImportError as error:
    print(error)
else:
    from mmdistill.registry import MODELS
    print(MODELS.build(dict(type='PluggedLoss', loss_weight=3.0)))
"""
    out = run(code)
    if broken:
        assert "plug-in 'my_loss'" in out and 'mmdistill.plugins' in out
        assert 'division by zero' in out
    else:
        assert 'PluggedLoss(loss_weight=3.0)' in out
