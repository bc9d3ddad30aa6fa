"""All parts are registered at once, those of plug-ins too."""

import pytest
from helpers import said_by


def test_registering_everything_is_quiet():
    code = (
        'from mmdistill.utils import register_all_modules\n'
        'register_all_modules()\n'
        'from mmdistill.registry import MODELS\n'
        "print(MODELS.build(dict(type='KDLoss')).temperature)"
    )
    assert said_by(code).strip() == '4.0'


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
    said = said_by(IMPORT)
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
    out = said_by(code)
    if broken:
        assert "plug-in 'my_loss'" in out and 'mmdistill.plugins' in out
        assert 'division by zero' in out
    else:
        assert 'PluggedLoss(loss_weight=3.0)' in out
