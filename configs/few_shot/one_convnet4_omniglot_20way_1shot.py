# Trained like the 5-way row: only the test asks for more.
_base_ = './one_convnet4_omniglot_5way_1shot.py'
val_cfg = dict(way=20)
test_cfg = dict(way=20)
