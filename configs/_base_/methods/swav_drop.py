# SwAV with dropout views (OSS, section 5.3): the student alone. SwAV takes the
# mean over pairs of views where OSS sums.
_base_ = './oss_kd_drop.py'
method = dict(teacher=None, clustering=dict(reduction='mean'))
