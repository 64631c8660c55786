"""Ways to train the 5,178-parameter network on MNIST, each as its users write it.

A contender is a function `(images, folder) -> epoch`: it imports what it needs, prepares, and gives a function that
trains and validates one epoch, or, called with a number, only that many batches, to warm up. All use batches of 128
images and SGD with Nesterov momentum. `library`, `library_eager` and `bare_kernels` follow recipe 3 as it stands, with
its moment normalisation (slant and size evened out) and its own augmentation: 5 degrees, 4 %, 4 % and 2 degrees.
`library_plain` is recipe 3 without moment normalisation, for the comparison with all others, which have none and change
their images by random rotation of 7 degrees, shift and scale of 5 % and shear of 3 degrees, as far as they offer it.
How much an image is changed does not change what that takes.
"""
from dataclasses import replace

from benchmarks.bare import bare, bare_fast, bare_kernels
from benchmarks.others import fastai_stock, keras_jax, lightning, original
from benchmarks.turns import BS, first_batches


def library(images, folder, compile='kernels', moments=True):
    "This library: mnist_learner(3).fit_one_cycle."
    from mnist_small.learner import mnist_learner
    from mnist_small.loader import mnist_dls
    from mnist_small.recipes import RECIPES
    recipe = RECIPES[3] if moments else replace(RECIPES[3], moment_norm=None)
    # an epoch of a long training, so compiled, though a single epoch would not be
    learn = mnist_learner(recipe, mnist_dls(images=images, bs=BS), compile=compile)

    def epoch(batches=None):
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(1, cbs=first_batches(batches))
        return None if batches else learn.training_log.history[-1]['accuracy']
    return epoch


def library_plain(images, folder):
    "This library, recipe 3 without moment normalisation."
    return library(images, folder, moments=False)


def library_eager(images, folder):
    "This library, not compiled."
    return library(images, folder, compile=False)


CONTENDERS = {f.__name__:f for f in (library, library_plain, library_eager, bare_kernels, bare_fast, bare, original,
                                     fastai_stock, lightning, keras_jax)}
"What is compared."

OURS = 'from mnist_small.all import *'
IMPORTS = dict(library=OURS, library_plain=OURS, library_eager=OURS, original='import torch, torchvision',
               fastai_stock='from fastai.vision.all import *', lightning='import lightning, torchvision',
               keras_jax='import os; os.environ["KERAS_BACKEND"] = "jax"; import keras')
"What a user of each imports; torch where nothing is named."
