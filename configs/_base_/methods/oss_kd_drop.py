# KD-Drop of OSS's Table 6: no feature classifier.
_base_ = './oss.py'
method = dict(feature_classifier=None)
