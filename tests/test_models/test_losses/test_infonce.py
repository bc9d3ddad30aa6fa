"""InfoNCE by MoCo's numbers."""

from helpers import relative_error

from mmdistill.models.losses import InfoNCELoss


def test_infonce(golden):
    g = golden('moco_infonce')
    query = g['student_q'].requires_grad_()
    queue = g['queue_before']
    loss_module = InfoNCELoss(queue.shape[1], len(queue), temperature=0.07)
    loss_module.to(golden.dtype).queue.enqueue(queue)
    loss = loss_module(query, g['teacher_k'])
    loss.backward()
    assert relative_error(loss, g['loss']) < golden.bound
    assert relative_error(query.grad, g['grad_student_q']) < golden.bound
    rows = loss_module.queue.features
    assert relative_error(rows, g['queue_after']) < golden.bound
