# Passalis and Tefas, ECCV 2018; weight of ProtoCPC, A.2.3.
method = dict(
    task_weight=1.0, losses=dict(pkt=dict(type='PKTLoss', loss_weight=30000.0))
)
