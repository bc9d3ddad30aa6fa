# The global part alone in its other form.
_base_ = './gckt_digits.py'
model = dict(losses=dict(gckt=dict(form='wasserstein')))
