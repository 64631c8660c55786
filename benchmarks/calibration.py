"""How sure a network may be: the temperature that its logits are divided by, and how far probabilities are off.

`fit` takes runs that were trained with images held out (`mnist_small_sweep --valid holdout`): for each, the temperature
under which the held-out digits are most probable, and the expected calibration error (Guo et al. 2017; 15 bins of equal
width) before and after. Their mean is what is packaged. `teach` trains such runs of a recipe that learns from a
network, each with one of the runs given as its teacher, which has not seen those images either. `report` takes packaged
weights, or runs with a temperature given, and prints that error on test images and on other people's digits, and what
share of digits is read surely.

    python -m benchmarks.calibration fit --data DIR sweeps/reader-holdout/seed-*
    python -m benchmarks.calibration teach best --data DIR --out sweeps/best-holdout sweeps/reader-holdout/seed-*
    python -m benchmarks.calibration report --data DIR --usps DIR reader
"""
import argparse
import math
from pathlib import Path

import numpy as np
from benchmarks.pictures import network
from benchmarks.strangers import strangers
from benchmarks.turns import report
from mnist_small.answer import SURE_FROM


def probabilities(logits:np.ndarray, temperature:float=1.) -> np.ndarray: # (n,10)
    "Softmax of logits over a temperature."
    from scipy.special import softmax
    return softmax(logits/temperature, axis=1)


def fitted(logits:np.ndarray, y:np.ndarray) -> float:
    "The temperature from 0.2 to 5 under which the right digits are most probable, to a thousandth."
    from scipy.optimize import minimize_scalar
    from sklearn.metrics import log_loss
    found = minimize_scalar(lambda t: log_loss(y, probabilities(logits, math.exp(t)), labels=range(10)),
                            method='bounded', bounds=(math.log(.2), math.log(5)), options=dict(xatol=1e-4))
    return math.exp(found.x)


def calibration_error(p:np.ndarray, y:np.ndarray, bins:int=15) -> float:
    "The mean distance of the highest probability from the share that is right, over bins, by their share of images."
    top,right = p.max(1),p.argmax(1) == y
    at = (top*bins).astype(int).clip(0, bins-1)
    return sum(abs(top[at == i].sum()-right[at == i].sum()) for i in range(bins))/len(y)


def fit(args) -> dict:
    "Print a line for each run, and the means."
    (x,y),found = strangers(args.data, None, 'train')['MNIST held out'],{}
    for o in args.networks:
        z = network(o)(x)
        t = fitted(z, y)
        found[o] = dict(temperature=t, error_before=calibration_error(probabilities(z), y),
                        error_after=calibration_error(probabilities(z, t), y))
        print(f'{o}: temperature {t:.3f}, calibration error {100*found[o]["error_before"]:.2f} -> '
              f'{100*found[o]["error_after"]:.2f} points', flush=True)
    mean = {k:float(np.mean([o[k] for o in found.values()])) for k in ('temperature', 'error_before', 'error_after')}
    print(f'mean of {len(found)}: temperature {mean["temperature"]:.3f}, calibration error '
          f'{100*mean["error_before"]:.2f} -> {100*mean["error_after"]:.2f} points')
    return dict(mean=mean, runs=found)


def taught(args) -> dict:
    "Train a run for each teacher, with seeds from 0 on."
    from dataclasses import replace

    from mnist_small.files import make_run_folder
    from mnist_small.images import load_images
    from mnist_small.learner import mnist_learner
    from mnist_small.loader import mnist_dls
    from mnist_small.recipes import RECIPES
    from mnist_small.runs import Run, RunRecorder
    from mnist_small.soft_targets import SoftTargets
    name,*teachers = args.networks
    recipe,images,found = RECIPES[name],load_images(args.data),{}
    for seed,teacher in enumerate(teachers):
        run = make_run_folder(args.out/f'seed-{seed}')
        learn = mnist_learner(replace(recipe, teacher=None), mnist_dls(images=images, valid='holdout', bs=recipe.bs),
                              seed=seed, cbs=[SoftTargets(Run(teacher).model(), recipe.softness), RunRecorder(run)])
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(recipe.epochs)
        found[str(run)] = learn.training_log.history[-1]['accuracy']
        print(f'{run}: {100*found[str(run)]:.2f} % of the held-out images', flush=True)
    return dict(accuracy=found)


def told_temperature(name:str) -> float:
    "What packaged weights say; 1 for those of a run."
    from mnist_small.packaged import packaged_name, pretrained_record
    return 1. if packaged_name(name) is None else pretrained_record(name).get('temperature', 1.)


def reported(args) -> dict:
    "Print for each network and each set of digits what its probabilities are worth."
    data,found = strangers(args.data, args.usps),{}
    for o in args.networks:
        t = told_temperature(o) if args.temperature is None else args.temperature
        read = network(o)
        for name,(x,y) in data.items():
            z = read(x)
            p = probabilities(z, t)
            sure,right = p.max(1) >= args.sure,p.argmax(1) == y
            row = dict(network=o, digits=name, temperature=t, error_before=calibration_error(probabilities(z), y),
                       error_after=calibration_error(p, y), sure=float(sure.mean()),
                       right_if_sure=float(right[sure].mean()), right_if_not=float(right[~sure].mean()))
            found[f'{o}: {name}'] = row
            print(f'{o}, {name}: calibration error {100*row["error_before"]:.2f} points, at temperature {t:.3f} '
                  f'{100*row["error_after"]:.2f}; {100*row["sure"]:.2f} % at {args.sure} or more, of these '
                  f'{100*row["right_if_sure"]:.2f} % right, of the others {100*row["right_if_not"]:.1f} %', flush=True)
    return dict(sure=args.sure, rows=list(found.values()))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=('fit', 'teach', 'report'))
    p.add_argument('networks', nargs='+', help='run folders; teach: a recipe, then runs; report: packaged weights too')
    p.add_argument('--out', type=Path, default=Path('sweeps/taught'), help='with teach: folder (default: %(default)s)')
    p.add_argument('--data', default='auto', help='auto, mnist, digits, or a folder with the four MNIST files')
    p.add_argument('--usps', type=Path, help='folder with the four USPS files')
    p.add_argument('--temperature', type=float, help='with report: this, not that of the packaged weights')
    p.add_argument('--sure', type=float, default=SURE_FROM, help='with report: what is sure (default: %(default)s)')
    p.add_argument('--json', type=Path, help='also write everything measured to this file')
    args = p.parse_intermixed_args() # options may stand between networks
    report(args, **dict(fit=fit, teach=taught, report=reported)[args.what](args))


if __name__ == '__main__':
    main()
