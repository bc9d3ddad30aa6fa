# FCN on a backbone's last map; all batch norms learn, synchronised. Classes
# are VOC's and the background.
model = dict(type='FCN', num_classes=21, norm='sync')
