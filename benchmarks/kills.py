"""Kill trainings, have them go on, kill them again, and compare what they end with with one that nobody touched.

Two kinds of kills. At random moments: `mnist_small_train` is sent SIGKILL, or now and then SIGTERM or SIGINT, while it
trains, and goes on with `--resume` until it is at its end. At each system call: a training on few of the embedded
digits kills itself before, in the middle of, or after its n-th opening, writing, flushing, renaming or removing of a
file, for every n that there is, and goes on from there. Weights, log without times, record and verdict have to be the
same to the last bit; where they are not, the exit code is 1.
"""
import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

from benchmarks.turns import report

TRAIN = [sys.executable, '-u', '-c', 'import sys; sys.argv[0] = "mnist_small_train"; '
         'from mnist_small.cli import mnist_small_train as f; f()']
SIGNALS = [signal.SIGKILL]*4+[signal.SIGTERM, signal.SIGINT]
EXITS = {signal.SIGKILL:-9, signal.SIGTERM:143, signal.SIGINT:130}


def left(run:Path) -> dict:
    "What a run leaves, without times."
    table = [o.split(',') for o in (run/'history.csv').read_text().splitlines()]
    i = table[0].index('time')
    return dict(files=sorted(o.name for o in run.iterdir()), weights=(run/'model.safetensors').read_bytes(),
                history=[o[:i]+o[i+1:] for o in table], record=(run/'recipe.json').read_bytes())


def differs(run:Path, whole:Path) -> list:
    "What of a run is not as in another."
    a,b = left(run),left(whole)
    return [k for k in a if a[k] != b[k]]


def started(args:list) -> tuple: # The process; an event that is set once it trains; its output; a wait for all of that
    "`mnist_small_train`, under way."
    p = subprocess.Popen([*TRAIN, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    trains,lines = threading.Event(),[]
    def read():
        for line in p.stdout:
            lines.append(line.rstrip('\n'))
            if line.startswith('epoch '):
                trains.set()
        trains.set()
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    return p, trains, lines, reader.join


def killed_at_random(asked:list, folder:Path, whole:str, longest:float, most:int, rng:random.Random) -> dict:
    "One training, killed at random moments until it is at its end, or has been `most` times."
    kills,wrong,run = [],[],folder/'killed'
    shutil.rmtree(run, ignore_errors=True)
    while True:
        begun = (run/'recipe.json').exists()
        p,trains,lines,read = started(['--resume', str(run)] if begun else [*asked, '--out', str(run)])
        trains.wait()
        by = rng.choice(SIGNALS)
        try:
            p.wait(rng.uniform(0, longest) if len(kills) < most else None)
        except subprocess.TimeoutExpired:
            p.send_signal(by)
            p.wait()
        read()
        if p.returncode == 0:
            break
        kills.append(by.name)
        ends = (run/'model.safetensors').exists() # then the signal may have come as Python was about to end
        if not ends and (p.returncode != EXITS[by] or by != signal.SIGKILL and '--resume' not in lines[-1]):
            wrong.append(f'{by.name}: exit {p.returncode}: {lines[-1:]}')
            break
    if not wrong:
        wrong = differs(run, folder/'whole')+[f'verdict: {lines[-3:]}']*(lines[-1] != whole)
    return dict(kills=len(kills), by={o:kills.count(o) for o in sorted({*kills})}, wrong=wrong)


def at_random(iteration:str, compiled:str, args, rng:random.Random, folder:Path, keep) -> list:
    "Trainings of an iteration, until they have been killed as often as asked."
    asked = ['--iteration', iteration, '--compile', compiled, '--data', args.data, '--seed', '1']
    asked += ['--epochs', str(args.epochs)]*bool(args.epochs)
    shutil.rmtree(folder/'whole', ignore_errors=True)
    p,trains,lines,read = started([*asked, '--out', str(folder/'whole')])
    trains.wait()
    begun = time.time()
    if p.wait():
        sys.exit(f'benchmarks.kills: {lines[-1:]}')
    read()
    whole,n = lines[-1],len(left(folder/'whole')['history'])-1
    longest,kills = 2*(time.time()-begun)/n,0 # on average an epoch lies between two kills
    print(f'iteration {iteration}, {compiled}: {n} epochs, {longest/2:.2f} s each. {whole}', flush=True)
    while kills < args.kills:
        out = killed_at_random(asked, folder, whole, longest, args.kills-kills, rng)
        kills += out['kills']
        print(f'  {kills} kills: {out["wrong"] or "the same bits"}', flush=True)
        keep(dict(iteration=iteration, compile=compiled, epochs=n, **out))
        if out['wrong']:
            break
        longest /= 1 if out['kills'] else 2 # the machine has become faster


class Killer:
    "Ends this process at the n-th call that has to do with a file of the run."
    def __init__(self, n:int, how:str):
        self.n,self.how,self.calls = n,how,[]

    def at(self, name:str, f, *args, **kwargs):
        self.calls.append(name)
        if len(self.calls) != self.n:
            return f(*args, **kwargs)
        if self.how != 'before':
            f(*(args if self.how == 'after' else [args[0][:len(args[0])//2]] if name == 'write' else args), **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(self):
        "Have the functions that files are written with come by here."
        from mnist_small import files
        own,killer = open,self
        class File:
            def __init__(self, path, mode):
                self.f = killer.at('open', own, path, mode, buffering=0)
            def __enter__(self):
                return self
            def __exit__(self, *_):
                self.f.close()
            def __getattr__(self, k):
                return getattr(self.f, k)
            def write(self, content):
                return killer.at('write', self.f.write, content)
        files.open = lambda path, mode='r': File(path, mode) if 'x' in mode else own(path, mode)
        for name in ('fsync', 'replace', 'unlink'):
            f = getattr(os, name)
            setattr(os, name, lambda *args, name=name, f=f, **kwargs: killer.at(name, f, *args, **kwargs))


def small_training(run:Path, compiled, n:int, how:str):
    "In a process of its own: begin or go on with a short training, which ends at call `n`; write what was called."
    import torch
    from mnist_small.images import load_images
    from mnist_small.learner import mnist_learner
    from mnist_small.loader import mnist_dls
    from mnist_small.runs import Run, RunRecorder
    torch.set_num_threads(1)
    o = load_images('digits')
    dls = mnist_dls(images=replace(o, x_train=o.x_train[:384], y_train=o.y_train[:384], x_test=o.x_test[:100],
                                   y_test=o.y_test[:100]))
    begun = (run/'recipe.json').exists()
    learn = mnist_learner(3, dls, seed=1, compile=compiled, cbs=[] if begun else RunRecorder(run))
    killer = Killer(n, how)
    if n:
        killer.watch()
    with learn.no_bar(), learn.no_logging():
        if begun:
            Run(run).resume(learn)
        else:
            learn.fit_one_cycle(2)
    return killer.calls


def forked(f, *args) -> int: # Its exit code; negative: the signal that killed it
    "`f` in a copy of this process."
    child = os.fork()
    if child == 0:
        code = 1
        try:
            f(*args)
            code = 0
        except BaseException as e:
            print(f'{type(e).__name__}: {e}', file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def at_calls(compiled, folder:Path, step:int, keep):
    "A short training that ends at its n-th call, for each n, and goes on."
    import mnist_small.runs # noqa: F401 once, for all copies of this process
    whole,run,wrong,kills,n = folder/'whole',folder/'killed',[],0,0
    shutil.rmtree(whole, ignore_errors=True)
    if forked(small_training, whole, compiled, 0, ''):
        sys.exit('benchmarks.kills: a training that nobody touched failed')
    while True:
        n += step
        for how in ('before', 'half', 'after') if step == 1 else ('half',):
            shutil.rmtree(run, ignore_errors=True)
            again = [3, 0] if how == 'half' else [0] # once more, a few calls after it has begun again
            code = forked(small_training, run, compiled, n, how)
            if code == 0: # there are fewer calls
                keep(dict(calls=n-step, compile=str(compiled), kills=kills, wrong=wrong))
                print(f'{n-step} calls, compile={compiled}: {kills} kills: {wrong or "the same bits"}', flush=True)
                return
            while code == -9:
                kills += 1
                code = forked(small_training, run, compiled, again.pop(0) if again else 0, 'after')
            found = differs(run, whole) if code == 0 else [f'exit {code}']
            if found:
                wrong.append([n, how, found])


def main():
    p = argparse.ArgumentParser(prog='python -m benchmarks.kills', description=__doc__.splitlines()[0])
    p.add_argument('--iterations', default='3,1,2', help='which, separated by commas (default: 3,1,2)')
    p.add_argument('--compile', default='kernels', help='kernels, off, or both, separated by commas (default: kernels)')
    p.add_argument('--kills', type=int, default=50, help='at random, for each of these (default: 50; 0: none)')
    p.add_argument('--epochs', type=int, help="of each training (default: the recipe's)")
    p.add_argument('--data', default='auto', help='auto, mnist, digits, or a folder with the four MNIST files')
    p.add_argument('--calls', type=int, default=1, help='kill at each n-th call (default: 1, each; 0: none)')
    p.add_argument('--seed', type=int, default=0, help='decides the moments (default: 0)')
    p.add_argument('--folder', type=Path, default='.', help='where the runs are written (default: this folder)')
    p.add_argument('--json', type=Path, help='also write everything that was found to this file, as it comes')
    args = p.parse_args()
    warnings.simplefilter('ignore')
    rng,found = random.Random(args.seed),[]
    def keep(o):
        found.append(o)
        report(args, found=found)

    with tempfile.TemporaryDirectory(dir=args.folder, prefix='kills-') as folder:
        for compiled in (False, 'kernels') if args.calls else ():
            at_calls(compiled, Path(folder), args.calls, keep)
        for compiled in args.compile.split(',') if args.kills else ():
            for iteration in args.iterations.split(','):
                at_random(iteration, compiled, args, rng, Path(folder), keep)
    kills,wrong = sum(o['kills'] for o in found),[o for o in found if o['wrong']]
    print(f'{kills} kills, {len(found)-len(wrong)} of {len(found)} the same bits')
    sys.exit(bool(wrong))


if __name__ == '__main__':
    main()
