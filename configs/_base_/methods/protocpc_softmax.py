# Table 8 of ProtoCPC: the loss with the softmax of the teacher's class scores.
_base_ = './protocpc.py'
method = dict(losses=dict(protocpc=dict(assignment='softmax')))
