"""Ways to train the 5,178-parameter network on MNIST, each as its users write it.

A contender is a function `(images, folder) -> epoch`: it imports what it needs, prepares, and gives a function that
trains and validates one epoch, or, called with a number, only that many batches, to warm up. All use batches of 128
images, SGD with Nesterov momentum, and random rotation of 7 degrees, shift and scale of 5 % and shear of 3 degrees, as
far as they offer it: fastai's aug_transforms neither shifts nor shears. None has the recipe's moment normalisation.
"""
import time
from dataclasses import replace
from pathlib import Path

BS,LR,MOMENTUM,STATS = 128,.1,.9,(.1307,.3081)
ROTATE,SHIFT,SCALE,SHEAR = 7.,.05,.05,3.


def torchvision_folder(images, folder:Path) -> Path:
    "MNIST's files where torchvision looks for them; `images` are written there once."
    import struct
    raw = folder/'MNIST'/'raw'
    if raw.exists(): return folder
    raw.mkdir(parents=True)
    for name,t in (('train-images-idx3', images.x_train), ('train-labels-idx1', images.y_train.byte()),
                   ('t10k-images-idx3', images.x_test), ('t10k-labels-idx1', images.y_test.byte())):
        head = bytes([0,0,8,t.ndim]) + struct.pack(f'>{t.ndim}I', *t.shape)
        (raw/f'{name}-ubyte').write_bytes(head + t.numpy().tobytes())
    return folder


def png_folder(images, folder:Path) -> Path:
    "The images as PNG files in folders named train/7, valid/3 and so on; written once."
    from PIL import Image
    out = folder/'png'
    if out.exists(): return out
    for split,x,y in (('train', images.x_train, images.y_train), ('valid', images.x_test, images.y_test)):
        for d in range(10): (out/split/str(d)).mkdir(parents=True)
        for i,(im,d) in enumerate(zip(x.numpy(), y.tolist())): Image.fromarray(im).save(out/split/str(d)/f'{i}.png')
    return out


def first_batches(n:int|None):
    "A fastai callback that ends training after `n` batches; none for None."
    from fastai.callback.core import Callback, CancelFitException
    def before_batch(self):
        if self.iter == n: raise CancelFitException
    return None if n is None else Callback(before_batch=before_batch)


def original(images, folder):
    "The original's way: torchvision.datasets.MNIST, transforms of each image as a tensor, DataLoader, plain loop."
    import torch, torch.nn.functional as F
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms as T
    from mnist_small.models import model3
    root = torchvision_folder(images, folder)
    affine = T.RandomAffine(0, translate=(SHIFT,SHIFT), scale=(1-SCALE,1+SCALE), shear=SHEAR)
    augment,normalise = [T.RandomRotation(ROTATE), affine],T.Normalize(*[(o,) for o in STATS])
    train = datasets.MNIST(root, train=True, transform=T.Compose([T.ToTensor(), *augment, normalise]))
    valid = datasets.MNIST(root, train=False, transform=T.Compose([T.ToTensor(), normalise]))
    train,valid = DataLoader(train, BS, shuffle=True),DataLoader(valid, BS)
    model = model3()
    opt = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, nesterov=True)

    def epoch(batches=None):
        model.train()
        running = correct = 0
        for i,(x,y) in enumerate(train):
            if i == batches: return
            opt.zero_grad()
            out = model(x)
            loss = F.cross_entropy(out, y)
            loss.backward()
            opt.step()
            running += loss.item()
            correct += (out.argmax(1) == y).sum().item()
        model.eval()
        with torch.no_grad(): return sum((model(x).argmax(1) == y).sum().item() for x,y in valid)/len(valid.dataset)
    return epoch


def fastai_stock(images, folder):
    "fastai as its book begins: ImageDataLoaders on PNG files, aug_transforms, fit."
    from fastai.vision.all import (CrossEntropyLossFlat, ImageDataLoaders, Learner, Normalize, OptimWrapper, PILImageBW,
                                   accuracy, aug_transforms, partial)
    import torch
    from mnist_small.models import model3
    tfms = aug_transforms(do_flip=False, max_rotate=ROTATE, min_zoom=1-SCALE, max_zoom=1+SCALE, max_lighting=0,
                          max_warp=0, p_affine=1., pad_mode='zeros')
    dls = ImageDataLoaders.from_folder(png_folder(images, folder), train='train', valid='valid', bs=BS, num_workers=2,
        img_cls=PILImageBW, batch_tfms=[*tfms, Normalize.from_stats([STATS[0]], [STATS[1]])])
    opt = partial(OptimWrapper, opt=partial(torch.optim.SGD, momentum=MOMENTUM, nesterov=True))
    learn = Learner(dls, model3(), loss_func=CrossEntropyLossFlat(), opt_func=opt, lr=LR, metrics=accuracy)

    def epoch(batches=None):
        with learn.no_bar(), learn.no_logging(): learn.fit(1, cbs=first_batches(batches))
        return None if batches else float(learn.recorder.values[-1][-1])
    return epoch


def lightning(images, folder):
    "PyTorch Lightning with torchvision.transforms.v2 on each image and two workers."
    import lightning as L, torch, torch.nn.functional as F
    from torch.utils.data import DataLoader
    from torchvision import datasets
    from torchvision.transforms import v2
    from mnist_small.models import model3
    root = torchvision_folder(images, folder)
    base = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(*[[o] for o in STATS])]
    augment = v2.RandomAffine(ROTATE, translate=(SHIFT,SHIFT), scale=(1-SCALE,1+SCALE), shear=SHEAR)
    train = DataLoader(datasets.MNIST(root, train=True, transform=v2.Compose([augment, *base])), BS, shuffle=True,
                       num_workers=2, persistent_workers=True)
    valid = DataLoader(datasets.MNIST(root, train=False, transform=v2.Compose(base)), 1000, num_workers=2,
                       persistent_workers=True)

    class Net(L.LightningModule):
        def __init__(self): super().__init__(); self.model,self.right = model3(),0
        def training_step(self, batch, _): return F.cross_entropy(self.model(batch[0]), batch[1])
        def on_validation_epoch_start(self): self.right = 0
        def validation_step(self, batch, _): self.right += (self.model(batch[0]).argmax(1) == batch[1]).sum().item()
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=LR, momentum=MOMENTUM, nesterov=True)

    net = Net()
    def epoch(batches=None):
        trainer = L.Trainer(max_epochs=1, accelerator='cpu', logger=False, enable_checkpointing=False,
                            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
                            limit_train_batches=batches or 1., limit_val_batches=1. if batches is None else 0)
        trainer.fit(net, train, valid)
        return net.right/len(valid.dataset)
    return epoch


def keras_jax(images, folder):
    "Keras 3 on JAX with its augmentation layers."
    import os
    os.environ['KERAS_BACKEND'],os.environ['JAX_PLATFORMS'] = 'jax','cpu'
    import keras
    from keras import layers as K
    conv = lambda n,k=3: [K.Conv2D(n, k, use_bias=False)]
    block = lambda n: [*conv(n), K.ReLU(), K.BatchNormalization(momentum=.9, epsilon=1e-5)]
    affine = dict(fill_mode='constant', fill_value=0.)
    model = keras.Sequential([
        keras.Input((28,28,1)), K.RandomRotation(ROTATE/360, **affine), K.RandomTranslation(SHIFT, SHIFT, **affine),
        K.RandomZoom(SCALE, **affine), K.RandomShear(SHEAR/90, SHEAR/90, **affine),
        K.Normalization(mean=STATS[0], variance=STATS[1]**2),
        *block(6), *block(12), K.MaxPooling2D(), *block(12), *block(12), K.MaxPooling2D(), *block(12), *conv(10, 2),
        K.GlobalAveragePooling2D()])
    model.compile(keras.optimizers.SGD(LR, momentum=MOMENTUM, nesterov=True),
                  keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=['accuracy'])
    xt,yt,xv,yv = [o.numpy() for o in (images.x_train, images.y_train, images.x_test, images.y_test)]
    xt,xv = xt[...,None].astype('float32')/255,xv[...,None].astype('float32')/255

    def epoch(batches=None):
        n = None if batches is None else batches*BS
        hist = model.fit(xt[:n], yt[:n], batch_size=BS, epochs=1, verbose=0, validation_data=(xv, yv),
                         validation_batch_size=1000)
        return hist.history['val_accuracy'][-1]
    return epoch


def bare(images, folder):
    "A bare PyTorch loop on resident tensors, eager."
    import torch, torch.nn.functional as F
    from mnist_small.augment import affine_matrix
    from mnist_small.models import model3
    model = model3()
    opt = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, nesterov=True)
    xt,yt,xv,yv = images.x_train,images.y_train,images.x_test,images.y_test
    def normalised(x): return (x-STATS[0])/STATS[1]

    def epoch(batches=None):
        model.train()
        for i,idx in enumerate(torch.randperm(len(xt)).split(BS)):
            if i == batches: return
            if len(idx) < BS: break # the library drops the last, smaller batch too
            r,x = torch.rand(5, BS)*2-1,xt[idx][:,None].float()/255
            m = affine_matrix(ROTATE*r[0], SHIFT*r[1], SHIFT*r[2], 1+SCALE*r[3], SHEAR*r[4])
            x = F.grid_sample(x, F.affine_grid(m, x.shape, align_corners=False), align_corners=False)
            F.cross_entropy(model(normalised(x)), yt[idx]).backward()
            opt.step()
            opt.zero_grad()
        model.eval()
        with torch.no_grad(): out = torch.cat([model(normalised(x[:,None].float()/255)) for x in xv.split(1000)])
        return (out.argmax(1) == yv).float().mean().item()
    return epoch


def bare_fast(images, folder, kernels=False):
    "The fastest such loop with torch's own means: memory kept, images changed 1,024 at a time, torch.compile."
    import math, torch, torch.nn.functional as F
    from mnist_small.augment import affine_grid, affine_matrix
    from mnist_small.kernels import Kernels
    from mnist_small.models import model3
    from mnist_small.speed import keep_freed_memory
    keep_freed_memory()
    model = model3() if kernels else model3().to(memory_format=torch.channels_last)
    compiled = Kernels(model, (BS,1,28,28)) if kernels else torch.compile(model, dynamic=False)
    opt = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, nesterov=True, fused=True)
    xt,yt,xv,yv = images.x_train,images.y_train,images.x_test,images.y_test
    live = [o for o in model.state_dict().values() if o.is_floating_point()]
    average,block = [o.clone() for o in live],BS*(1024//BS)
    def normalised(x): return x.mul_(1/255/STATS[1]).sub_(STATS[0]/STATS[1]) # in place: `x` is always new

    def epoch(batches=None):
        model.train()
        n,i,running,correct = len(xt)//BS,0,0,0
        for idx in torch.randperm(len(xt))[:n*BS].split(block):
            r,x = torch.rand(5, len(idx))*2-1,xt.index_select(0, idx)[:,None].float()
            m = affine_matrix(ROTATE*r[0], SHIFT*r[1], SHIFT*r[2], 1+SCALE*r[3], SHEAR*r[4])
            x = normalised(F.grid_sample(x, affine_grid(m, 28, 28), align_corners=False))
            for x,y in zip(x.split(BS), yt[idx].split(BS)):
                if i == batches: return
                i += 1
                if kernels: opt.param_groups[0]['lr'] = LR*(1+math.cos(math.pi*i/n))/2
                out = compiled(x)
                loss = F.cross_entropy(out, y)
                loss.backward()
                opt.step()
                opt.zero_grad()
                if kernels:
                    torch._foreach_lerp_(average, live, .002)
                    running += loss.detach()
                    correct += (out.detach().argmax(1) == y).sum()
        model.eval()
        f = compiled if kernels else model
        with torch.no_grad(): out = torch.cat([f(normalised(x[:,None].float())) for x in xv.split(1000)])
        return (out.argmax(1) == yv).float().mean().item()
    return epoch


def bare_kernels(images, folder):
    "The same with this library's kernels, and what its learner does: schedule, averages, running loss and accuracy."
    return bare_fast(images, folder, kernels=True)


def library(images, folder, compile='kernels'):
    "This library: learn.fit_one_cycle."
    from mnist_small.data import mnist_dls
    from mnist_small.learner import RECIPES, mnist_learner
    recipe = replace(RECIPES[3], bs=BS, moment_norm=None,
                     max_rotate=ROTATE, max_shift=SHIFT, max_scale=SCALE, max_shear=SHEAR)
    # an epoch of a long training, so compiled, though a single epoch would not be
    learn = mnist_learner(recipe, mnist_dls(images=images, bs=BS), compile=compile)

    def epoch(batches=None):
        with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1, cbs=first_batches(batches))
        return None if batches else learn.training_log.history[-1]['accuracy']
    return epoch


def library_eager(images, folder):
    "This library, not compiled."
    return library(images, folder, compile=False)


CONTENDERS = {f.__name__:f for f in (library, library_eager, bare_kernels, bare_fast, bare, original, fastai_stock,
                                     lightning, keras_jax)}
"What is compared."

OURS = 'from mnist_small.all import *'
IMPORTS = dict(library=OURS, library_eager=OURS, original='import torch, torchvision',
               fastai_stock='from fastai.vision.all import *', lightning='import lightning, torchvision',
               keras_jax='import os; os.environ["KERAS_BACKEND"] = "jax"; import keras')
"What a user of each imports; torch where nothing is named."


def floor(images) -> float:
    "Seconds an epoch takes if all its floating-point operations, validation's too, ran at a matrix product's rate."
    import statistics, torch, torch.nn.functional as F
    from torch.utils.flop_counter import FlopCounterMode
    from mnist_small.models import model3
    model,x,y = model3(),torch.randn(BS, 1, 28, 28),torch.zeros(BS, dtype=torch.long)
    with FlopCounterMode(display=False) as forward: loss = F.cross_entropy(model(x), y)
    with FlopCounterMode(display=False) as backward: loss.backward()
    train,valid = len(images.x_train)//BS*BS,len(images.x_test)
    total = (forward.get_total_flops()*(train+valid) + backward.get_total_flops()*train)/BS
    a = torch.randn(2048, 2048)
    took = statistics.median(_seconds(lambda: a@a) for _ in range(50))
    return total/(2*2048**3/took)


def _seconds(f) -> float:
    "Wall-clock seconds of one call."
    start = time.perf_counter()
    f()
    return time.perf_counter()-start
