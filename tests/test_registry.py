"""Names and scopes of the registries."""

import mmpretrain.registry
import pytest
from helpers import said_by
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


def test_import_is_quiet_and_builds_by_scope():
    code = (
        'import mmdistill\n'
        'from mmpretrain.registry import MODELS\n'
        "net = MODELS.build(dict(type='mmdistill.CIFARResNet', depth=8))\n"
        'print(net.depth)'
    )
    # MMPretrain's own line, where its datasets are imported with its models.
    said = said_by(code).replace('Could not import OneDL', '')
    assert said.strip() == '8'
