# SwAV for batches of 4096, as in its scripts for them: no queue, prototypes
# frozen for 313 iterations.
_base_ = './swav.py'
method = dict(queue_size=0)
method_hooks = dict(freeze_prototypes=dict(iters=313), queue=None)
