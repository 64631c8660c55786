"""Other libraries' ways to train the 5,178-parameter network, each as its users write it.

A way is a function `(images, folder) -> epoch`: it imports what it needs, prepares, and gives a function that trains
and validates one epoch, or, called with a number, only that many batches, to warm up. None evens out slant and size.
"""
from pathlib import Path

from benchmarks.turns import BS, LR, MOMENTUM, ROTATE, SCALE, SHEAR, SHIFT, STATS, first_batches


def torchvision_folder(images, folder:Path) -> Path:
    "MNIST's files where torchvision looks for them; `images` are written there once."
    import struct
    raw = folder/'MNIST'/'raw'
    if raw.exists():
        return folder
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
    if out.exists():
        return out
    for split,x,y in (('train', images.x_train, images.y_train), ('valid', images.x_test, images.y_test)):
        for d in range(10):
            (out/split/str(d)).mkdir(parents=True)
        for i,(im,d) in enumerate(zip(x.numpy(), y.tolist(), strict=True)):
            Image.fromarray(im).save(out/split/str(d)/f'{i}.png')
    return out


def original(images, folder):
    """The original's way: torchvision.datasets.MNIST, transforms of each image as a tensor, DataLoader, plain loop.

    Turned by 7°; moved and scaled by 5 %, slanted by 3°.
    """
    import torch
    import torch.nn.functional as F
    from torch.utils.data import DataLoader
    from torchvision import datasets
    from torchvision import transforms as T
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
            if i == batches:
                return
            opt.zero_grad()
            out = model(x)
            loss = F.cross_entropy(out, y)
            loss.backward()
            opt.step()
            running += loss.item()
            correct += (out.argmax(1) == y).sum().item()
        model.eval()
        with torch.no_grad():
            return sum((model(x).argmax(1) == y).sum().item() for x,y in valid)/len(valid.dataset)
    return epoch


def fastai_stock(images, folder):
    """fastai as its book begins: ImageDataLoaders on PNG files, aug_transforms, fit.

    Turned by 7°, scaled by 5 %: aug_transforms neither moves nor slants.
    """
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
        with learn.no_bar(), learn.no_logging():
            learn.fit(1, cbs=first_batches(batches))
        return None if batches else float(learn.recorder.values[-1][-1])
    return epoch


def lightning(images, folder):
    "PyTorch Lightning with torchvision.transforms.v2 on each image and two workers; the original's augmentation."
    import lightning as L
    import torch
    import torch.nn.functional as F
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
        def __init__(self):
            super().__init__()
            self.model,self.right = model3(),0

        def training_step(self, batch, _):
            return F.cross_entropy(self.model(batch[0]), batch[1])

        def on_validation_epoch_start(self):
            self.right = 0

        def validation_step(self, batch, _):
            self.right += (self.model(batch[0]).argmax(1) == batch[1]).sum().item()

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
    "Keras 3 on JAX with its augmentation layers, by the same amounts."
    import os
    os.environ['KERAS_BACKEND'],os.environ['JAX_PLATFORMS'] = 'jax','cpu'
    import keras
    from keras import layers as K
    def conv(n, k=3):
        return [K.Conv2D(n, k, use_bias=False)]
    def block(n):
        return [*conv(n), K.ReLU(), K.BatchNormalization(momentum=.9, epsilon=1e-5)]
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
