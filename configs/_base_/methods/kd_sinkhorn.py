# Table 8 of ProtoCPC: cross-entropy with Sinkhorn-Knopp assignments of the
# teacher's class scores; weights of A.2.3.
_base_ = './kd.py'
method = dict(
    losses=dict(kd=dict(assignment='sinkhorn', sinkhorn_iterations=3))
)
