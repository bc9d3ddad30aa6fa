# Snell et al., NeurIPS 2017, section 3: Adam, 1e-3, halved every 2000 steps.
# They train until the validation loss stops falling; 20000 episodes are ours.
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = dict(type='StepLR', by_epoch=True, step_size=20, gamma=0.5)
train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=10)
