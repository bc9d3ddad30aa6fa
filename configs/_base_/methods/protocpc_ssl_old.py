# ProtoCPC with the prototypes that the teacher was trained with (Table 9).
_base_ = './protocpc_ssl.py'
method = dict(teacher_prototypes='old')
method_hooks = dict(_delete_=True)
