import json

import pytest

TOOL = 'dataset_converters/make_digits_canvas'


def test_options_reach_the_folder(main, toy, capsys):
    main(
        TOOL, 'canvas', '--num-train', 2, '--num-val', 1, '--size', 40, 50,
        '--digits-per-image', 2, 2, '--seed', 5,
    )  # fmt: skip
    path = toy.folder / 'canvas' / 'digits_canvas.json'
    assert json.loads(path.read_text()) == dict(
        num_train=2, num_val=1, size=[40, 50], digits_per_image=[2, 2],
        digit_size=[16, 36], seed=5,
    )  # fmt: skip
    assert len(list((toy.folder / 'canvas' / 'JPEGImages').iterdir())) == 3
    printed = capsys.readouterr().out
    assert 'CocoDetection' in printed and 'VOCSegmentation' in printed


def test_help(main, capsys):
    with pytest.raises(SystemExit):
        main(TOOL, '--help')
    printed = capsys.readouterr().out
    assert 'data/digits_canvas' in printed and '--digits-per-image' in printed
