"""What the benchmarks share: a command line, epochs that run in turn, and the file with what was measured.

A machine's speed drifts, so what is compared runs in turn, each in a process of its own, and ratios are taken within a
round.
"""
import argparse
import json
import multiprocessing
import statistics
import sys
import time
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

BS,LR,MOMENTUM,STATS = 128,.1,.9,(.1307,.3081)
ROTATE,SHIFT,SCALE,SHEAR = 7.,.05,.05,3. # the original's augmentation: degrees, shares of the side, degrees
PACKAGES = 'torch', 'torchvision', 'fastai', 'lightning', 'keras', 'jax', 'onnxruntime', 'pillow'


def versions() -> dict:
    "Versions of the packages that are compared, where installed."
    out = {}
    for o in PACKAGES:
        try:
            out[o] = version(o)
        except PackageNotFoundError:
            out[o] = None
    return out


def few(data:str, share:int=4):
    "The images that `data` names, every `share`-th of them."
    from mnist_small.images import load_images
    o = load_images(data)
    return replace(o, **{k:getattr(o, k)[::share] for k in ('x_train', 'y_train', 'x_test', 'y_test')})


def epochs_of(learn):
    "A function that trains and validates an epoch of `learn`, silently."
    def epoch():
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(1)
    return epoch


def first_batches(n:int|None):
    "A fastai callback that ends training after `n` batches; none for None."
    from fastai.callback.core import Callback, CancelFitException
    def before_batch(self):
        if self.iter == n:
            raise CancelFitException
    return None if n is None else Callback(before_batch=before_batch)


def quartiles(values:list) -> tuple: # Lower quartile, median and upper quartile
    "The quartiles of `values`; of one value, three times that value."
    return tuple(statistics.quantiles(values, n=4)) if len(values) > 1 else (values[0],)*3


def seconds_of(f) -> float:
    "Wall-clock seconds of one call."
    start = time.perf_counter()
    f()
    return time.perf_counter()-start


def _serve(setup, args, warm:bool, pipe):
    "In a process of its own: set up, warm up, then time an epoch whenever asked, with `warm` after one untimed."
    import warnings
    warnings.simplefilter('ignore')
    epoch = setup(*args)
    epoch()
    pipe.send('ready')
    while pipe.recv():
        if warm:
            epoch()
        pipe.send(seconds_of(epoch))


def in_turn(
    setups:dict, # By name, a function that returns a function to time, and its arguments
    rounds:int, # How often each is timed
    warm:bool=False # An epoch that is not timed before each that is
) -> dict: # Seconds, by name
    "Time what each of `setups` prepares, in turn. A process that ends early raises `EOFError`."
    # on Linux the processes are copies of one that has imported the library, and share its memory
    ctx = multiprocessing.get_context('forkserver' if sys.platform == 'linux' else 'spawn')
    ctx.set_forkserver_preload(['mnist_small.learner'])
    pipes,processes = {},[]
    try:
        for name,(setup,*args) in setups.items():
            pipes[name],theirs = ctx.Pipe()
            processes.append(ctx.Process(target=_serve, args=(setup, args, warm, theirs), daemon=True))
            processes[-1].start()
            theirs.close()
            pipes[name].recv()
            print(f'ready: {name or "all"}', flush=True)
        seconds = {o:[] for o in setups}
        for i in range(rounds):
            for name in pipes:
                pipes[name].send(True)
                seconds[name].append(pipes[name].recv())
            print(f'round {i+1} of {rounds}', flush=True)
        return seconds
    finally:
        for o in processes:
            o.terminate()


def parser(doc:str, prog:str, rounds:int, unit:str='short epochs of each') -> argparse.ArgumentParser:
    "The command line that the benchmarks by turns share."
    p = argparse.ArgumentParser(prog=f'python -m benchmarks.{prog}', description=doc.splitlines()[0])
    p.add_argument('--rounds', type=int, default=rounds, help=f'{unit}, in turn (default: {rounds})')
    p.add_argument('--data', default='auto', help='auto, mnist, digits, or a folder with the four MNIST files')
    p.add_argument('--json', type=Path, help='also write everything measured to this file')
    return p


def report(args, **measured):
    "Write what was measured, with machine and versions, if `--json` says where."
    if not args.json:
        return
    from mnist_small.record import machine_info
    args.json.write_text(json.dumps(dict(machine=machine_info(), versions=versions(), **measured), indent=1)+'\n')
