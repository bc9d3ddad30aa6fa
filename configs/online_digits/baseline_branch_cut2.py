# Cut where ONE and OKDDip are: all stages but the last are shared.
_base_ = './baseline_branch.py'
model = dict(cut=2)
