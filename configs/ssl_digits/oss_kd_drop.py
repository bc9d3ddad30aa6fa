# OSS without the feature classifier: KD-Drop of its Table 6.
_base_ = './oss.py'
model = dict(feature_classifier=None)
