"All public names: `from mnist_small.all import *`. Written by hand, because nbdev exports no star imports."
from mnist_small.data import *
from mnist_small.augment import *
from mnist_small.models import *
from mnist_small.callbacks import *
from mnist_small.speed import *
from mnist_small.learner import *
from mnist_small.runs import *
from mnist_small.sweep import *
