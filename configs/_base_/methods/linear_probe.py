# A linear classifier on the features of a frozen backbone.
method = dict(type='LinearProbe')
