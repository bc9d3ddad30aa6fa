# The detector from random weights, to compare with.
_base_ = [
    '../_base_/networks/detector_digits.py',
    '../_base_/datasets/digits_canvas.py',
    '../_base_/schedules/transfer_digits_400i.py',
    '../_base_/runtime_transfer.py',
]
