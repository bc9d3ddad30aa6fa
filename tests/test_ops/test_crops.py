"""Groups of crops, and settings that make none."""

import pytest

from mmdistill.ops.crops import check_range, crop_groups

CROPS = dict(
    num_global=2,
    num_local=6,
    global_size=224,
    local_size=96,
    global_scale=[0.14, 1.0],
    local_scale=[0.05, 0.14],
    ratio=(3 / 4, 4 / 3),
)


def test_one_group_a_size():
    assert crop_groups(**CROPS) == [
        (2, 224, (0.14, 1.0)),
        (6, 96, (0.05, 0.14)),
    ]
    (alone,) = crop_groups(**CROPS | dict(num_local=0))
    assert alone.number == 2 and alone.size == 224


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (dict(num_global=1, num_local=0), 'num_global=1 and num_local=0'),
        (dict(num_global=0), 'num_global=0'),
        (dict(global_size=0), 'global_size must be 1 pixel'),
        (dict(local_size=224), 'local_size=224'),
        (dict(local_scale=(0.05, 1.1)), 'local_scale must be'),
        (dict(global_scale=(0.05, 0.1)), r'local_scale=\(0.05, 0.14\)'),
        (dict(ratio=(2, 1)), r'ratio must be .*got \(2, 1\)'),
    ],
)
def test_wrong_settings_name_their_keys(wrong, message):
    with pytest.raises(ValueError, match=message):
        crop_groups(**CROPS | wrong)


def test_a_range_is_two_numbers_above_0_in_their_order():
    check_range('scale', (0.5, 0.5), most=1)
    for wrong in ((0, 1), (0.6, 0.5), (0.5,), (0.5, 2)):
        with pytest.raises(ValueError, match='scale must be .* at most 1'):
            check_range('scale', wrong, most=1)
