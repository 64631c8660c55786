"""How the cost of training grows with batch size, threads, images and parameters: short epochs, in turn.

A short epoch trains on every fourth image and validates on every fourth test image, but where the number of images is
what changes. Recipe 3 as it stands, with kernels and without.
"""
import os
import statistics

from benchmarks.turns import BS, epochs_of, few, in_turn, parser, report


def widened(factor:int):
    "The 5,178-parameter network with `factor` times its channels."
    from torch import nn
    from mnist_small.models import DigitNet, conv_block
    a,b = 6*factor,12*factor
    def block(ni, nf):
        return conv_block(ni, nf, bias=False)
    return DigitNet(*block(1, a), *block(a, b), nn.MaxPool2d(2), *block(b, b), *block(b, b), nn.MaxPool2d(2),
                    *block(b, b), nn.Conv2d(b, 10, 2, bias=False), nn.AdaptiveAvgPool2d(1))


def setup(data:str, bs:int=BS, threads:int|None=None, share:int=4, width:int=1, compile:bool|str='kernels'):
    "An epoch, with one thing changed."
    import torch
    from mnist_small.learner import mnist_learner
    from mnist_small.loader import mnist_dls
    if threads:
        torch.set_num_threads(threads)
    return epochs_of(mnist_learner(3, mnist_dls(images=few(data, share), bs=bs), model=widened(width), compile=compile))


def call(data, changed):
    return setup(data, **changed)


def main():
    args = parser(__doc__, 'growth', 3).parse_args()
    from mnist_small.models import num_params
    values = {'batch size': ('bs', [32,64,128,256,512]), 'images': ('share', [16,8,4,2,1]),
              'threads': ('threads', list(range(1, os.cpu_count()+1))), 'parameters': ('width', [1,2,3])}
    n,ways,measured = len(few(args.data, 1).x_train),dict(compiled='kernels', uncompiled=False),{}
    labels = dict(images=lambda o: n//o, parameters=lambda o: num_params(widened(o)))
    for name,(key,settings) in values.items():
        setups = {(o,k):(call, args.data, {key:o, 'compile':c}) for o in settings for k,c in ways.items()}
        seconds = in_turn(setups, args.rounds)
        label = labels.get(name, int)
        measured[name] = {k:{label(o):seconds[o,k] for o in settings} for k in ways}
        print(f'\n{name:>10} ' + ' '.join(f'{k:>12}' for k in ways))
        for o in settings:
            row = ' '.join(f'{statistics.median(seconds[o,k]):10.2f} s' for k in ways)
            print(f'{label(o):10,} {row}', flush=True)
    report(args, images=n//4, seconds=measured)


if __name__ == '__main__':
    main()
