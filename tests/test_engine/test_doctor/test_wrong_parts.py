"""Types and arguments; that of the tools is in test_planted_mistakes.py."""

import pytest

from mmdistill.engine.doctor.wrong_parts import wrong_names

NET = dict(type='ImageClassifier', backbone=dict(type='ResNet', depth=18))


def found(**cfg) -> list[str]:
    return [str(one) for one in wrong_names(dict(dict(model=NET), **cfg))]


@pytest.mark.parametrize(
    ('cfg', 'said'),
    [
        (
            dict(model=dict(backbone=dict(type='ResNet'))),
            'model: it needs a type, one that is registered as model',
        ),
        (
            dict(model=dict(tpye='ImageClassifier')),
            'model: it needs a type, one that is registered as model; is it '
            "meant by 'tpye'?",
        ),
        (
            dict(custom_hooks=[dict(type='EarlyStoppingHook', monitr='x')]),
            "custom_hooks.0.monitr: EarlyStoppingHook takes no 'monitr'; did "
            "you mean 'monitor'?",
        ),
        (
            dict(model=dict(type='timm/resnet18', num_clases=3)),
            "model.num_clases: 'timm/resnet18' takes no 'num_clases'; did you "
            "mean 'num_classes'?",
        ),
        (
            dict(model=dict(type='OfflineDistiller', student='timm/resnet19')),
            "model.student: timm has no model 'resnet19'; did you mean 'timm/",
        ),
        (
            dict(
                model=dict(
                    type='OfflineDistiller',
                    student=NET,
                    teachers=dict(big=dict(model=dict(type='tim/resnet18'))),
                )
            ),
            "model.teachers.big.model.type: 'tim/resnet18' names no model",
        ),
        (
            dict(env_cfg=dict(mp_cfg=dict(mp_start='fork'))),
            "env_cfg.mp_cfg.mp_start: there is no setting 'mp_start'; did you "
            "mean 'mp_start_method'?",
        ),
        (
            dict(visualizer=dict(vis_backends=[dict(type='LocalVisBackand')])),
            "visualizer.vis_backends.0.type: 'LocalVisBackand' is not "
            "registered as vis_backend; did you mean 'LocalVisBackend'",
        ),
    ],
)
def test_says_what_is_wrong(cfg, said):
    (text,) = found(**cfg)
    assert text.startswith(said)


def test_a_loss_is_compared_with_losses_alone():
    model = dict(
        type='OfflineDistiller', student=NET, losses=dict(a=dict(type='KD'))
    )
    (text,) = found(model=model)
    assert text.startswith("model.losses.a.type: 'KD' is not registered as l")
    assert "'KDLoss'" in text


@pytest.mark.parametrize(
    'cfg',
    [
        dict(model=dict(type=dict)),  # a class takes anything here
        dict(param_scheduler=dict(type='LinearLR', convert_to_iter_based=1)),
        dict(custom_hooks=[dict(type='EMAHook', priority='LOW')]),
        dict(default_hooks=dict(timer=None)),
        dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=1),
                                constructor='X', paramwise_cfg=dict())),
        dict(model='student.pth'),
        dict(model='cifar/resnet8'),
        dict(model=dict(type='timm/resnet18', drop_rate=0.1),
             data_preprocessor=dict(mean=[0])),
    ],
)  # fmt: skip
def test_lets_pass(cfg):
    assert not found(**cfg)


def test_anything_goes_but_what_is_nearly_its_own():
    checkpoint = dict(save_optimizer=True, intervall=1, backend_args=None)
    (text,) = found(default_hooks=dict(checkpoint=checkpoint))
    assert text.startswith('default_hooks.checkpoint.intervall: ')
