# A ResNet-14 that sees 8x8 digits teaches a thin ResNet-8 that does not.
_base_ = './resnet14_resnet8_digits.py'
teacher = dict(head=dict(num_classes=2))
student = dict(head=dict(num_classes=2))
model = dict(
    teacher=teacher,
    student=student,
    teacher_ckpt='work_dirs/privileged/teacher/student.pth',
)
