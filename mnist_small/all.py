"All public names: `from mnist_small.all import *`. Written by hand, because nbdev exports no star imports."
from mnist_small.files import *
from mnist_small.images import *
from mnist_small.affine import *
from mnist_small.models import *
from mnist_small.loader import *
from mnist_small.kernels import *
from mnist_small.loop import *
from mnist_small.recipes import *
from mnist_small.target import *
from mnist_small.callbacks import *
from mnist_small.speed import *
from mnist_small.training import *
from mnist_small.learner import *
from mnist_small.runs import *
from mnist_small.report import *
from mnist_small.sweep import *
from mnist_small.evidence import *
