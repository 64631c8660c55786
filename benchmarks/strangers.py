"""Other people's digits, framed as MNIST's are: how many each network reads right.

USPS (Hull 1994) lies in a folder of one's own, as four files in MNIST's format: `usps-train-images-idx3-ubyte.gz` and
so on. Its training images are there to choose a recipe by (`--split train`), also at 8×8, as coarse as digits get; its
test images to report. scikit-learn's 1,797 digits, which have 8×8, come with that package. Several runs of one recipe
may be named: the last lines are their means.

    python -m benchmarks.strangers --usps DIR --data DIR iteration3 sprint
    python -m benchmarks.strangers --usps DIR --data DIR sweeps/reader/seed-0*
"""
import argparse
import statistics
from pathlib import Path

from benchmarks.pictures import held_out, network
from benchmarks.turns import report


def framed(images): # (n,28,28) uint8
    "Images of ink on 0 in MNIST's form."
    import numpy as np
    from mnist_small.read import frame_digit
    return np.stack([frame_digit(o) for o in images])


def strangers(data:str, usps:Path|None, split:str='test') -> dict: # Images (n,28,28) and labels (n,), by name
    "MNIST's test images or those held out of its training images, USPS and scikit-learn's digits."
    import numpy as np
    from mnist_small.images import load_images, read_idx
    from sklearn.datasets import load_digits
    out,train = {},split == 'train'
    images,digits = load_images(data),load_digits()
    if train:
        out['MNIST held out'] = held_out(images)
    else:
        out['MNIST test'] = images.x_test.numpy(),images.y_test.numpy()
    if usps:
        x,y = [read_idx(usps/f'usps-{split}-{o}-ubyte.gz', item)[0].numpy()
               for o,item in (('images-idx3', (16,16)), ('labels-idx1', ()))]
        out[f'USPS {split}'] = framed(x),y
        if train:
            out['the same at 8×8'] = framed(x.reshape(-1, 8, 2, 8, 2).mean((2, 4)).astype(np.uint8)),y
    if not train:
        out["scikit-learn's"] = framed((digits.images*255/16).astype(np.uint8)),digits.target
    return out


def main():
    p = argparse.ArgumentParser(prog='python -m benchmarks.strangers', description=__doc__.splitlines()[0])
    p.add_argument('networks', nargs='*', help='packaged weights or run folders (default: all packaged ones)')
    p.add_argument('--data', default='auto', help='auto, mnist, digits, or a folder with the four MNIST files')
    p.add_argument('--usps', type=Path, help='folder with the four USPS files')
    p.add_argument('--split', choices=('test', 'train'), default='test', help='to report, or to choose (default: test)')
    p.add_argument('--json', type=Path, help='also write everything measured to this file')
    args = p.parse_args()
    from mnist_small.packaged import packaged_names
    data,networks = strangers(args.data, args.usps, args.split),args.networks or packaged_names()
    width = max(map(len, networks))
    print(' '*width, *[o.rjust(16) for o in data])
    found = {}
    for o in networks:
        read = network(o)
        found[o] = {k:float((read(x).argmax(1) == y).mean()) for k,(x,y) in data.items()}
        print(o.ljust(width), *[f'{100*v:16.2f}' for v in found[o].values()], flush=True)
    if len(found) > 1:
        for what,f in (('mean', statistics.mean), ('sd', statistics.stdev)):
            print(what.ljust(width), *[f'{100*f(o[k] for o in found.values()):16.3f}' for k in data])
    report(args, split=args.split, accuracy=found)


if __name__ == '__main__':
    main()
