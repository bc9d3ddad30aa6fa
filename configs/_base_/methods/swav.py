# SwAV (Caron et al., NeurIPS 2020), batch 256: the student alone.
_base_ = './oss_kd.py'
method = dict(teacher=None, clustering=dict(reduction='mean'))
