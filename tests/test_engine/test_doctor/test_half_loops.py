"""Loops, and dataloaders, that lack a setting."""

from mmdistill.engine.doctor.half_loops import half_loops

LOADER = dict(
    batch_size=1, dataset=dict(type='Digits'), sampler=dict(type='X')
)
VAL = dict(val_dataloader=LOADER, val_cfg={}, val_evaluator=[])


def keys(**cfg) -> list[str]:
    return [one.key for one in half_loops(cfg)]


def test_all_or_none():
    assert not keys()
    assert not keys(**VAL)  # an empty setting is one
    assert not keys(**dict.fromkeys(VAL))
    for name in VAL:
        others = {key: value for key, value in VAL.items() if key != name}
        assert keys(**others) == [name]
    assert keys(train_cfg={}) == ['train_dataloader']
    assert keys(param_scheduler=[dict(type='LinearLR')]) == ['param_scheduler']


def test_a_dataloader_has_data():
    for name in LOADER:
        loader = {key: value for key, value in LOADER.items() if key != name}
        assert keys(**{**VAL, 'val_dataloader': loader}) == [
            f'val_dataloader.{name}'
        ]
    batches = dict(dataset=LOADER['dataset'], batch_sampler=dict(type='X'))
    assert not keys(**{**VAL, 'val_dataloader': batches})
