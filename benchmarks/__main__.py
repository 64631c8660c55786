"""Train the 5,178-parameter network in several ways, side by side, and print how long an epoch takes with each.

Each way runs in a process of its own, in turn, for several rounds, so that a machine whose speed drifts treats all
alike (`--together`: all in one process); ratios to this library, or to another way (`--base`), are taken within a
round. What is timed is an epoch after 20 batches that do not count, or the first one of a fresh training (`--first`).
A way whose packages are missing is skipped by name. Memory is that of a process and its children, with shared pages
counted once, looked at twice a second; it needs psutil, and a last round of its own, because looking takes up to 3 % of
the time.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.turns import quartiles, report, seconds_of, versions


def one_run(name:str, data:str, folder:Path, batches:int|None, first:bool) -> dict:
    "In this process: import, warm up, train and validate one epoch; how many seconds each takes."
    import warnings
    warnings.simplefilter('ignore')
    from benchmarks.bare import floor
    from benchmarks.contenders import CONTENDERS, IMPORTS
    imported = seconds_of(lambda: exec(IMPORTS.get(name, 'import torch'), {}))
    from mnist_small.images import load_images # here, because it imports torch, and imports are timed above
    images = load_images(data)
    if name == 'floor':
        return dict(epoch=floor(images))
    start = time.perf_counter()
    epoch = CONTENDERS[name](images, folder)
    ready = time.perf_counter()
    if not first:
        epoch(20)
    warm = time.perf_counter()
    accuracy = epoch(batches)
    end = time.perf_counter()
    return dict(epoch=end-warm, imports=imported, prepare=ready-start, warm_up=warm-ready, accuracy=accuracy)


def run_together(names:list, args) -> dict:
    "Epochs of `names` in turn, all in this process, so that little time lies between those that are compared."
    import warnings
    warnings.simplefilter('ignore')
    from benchmarks.contenders import CONTENDERS
    from mnist_small.images import load_images
    images = load_images(args.data)
    epochs = {o:CONTENDERS[o](images, args.folder) for o in names}
    for f in epochs.values():
        f(20)
    seconds = {o:{} for o in names}
    for i in range(args.rounds):
        for name in (names, names[::-1])[i%2]: # either order as often, because the first may leave something behind
            f = CONTENDERS[name](images, args.folder) if args.first else epochs[name]
            seconds[name][i] = seconds_of(lambda f=f: f(args.batches))
            print(f'round {i+1}  {name:<14} {seconds[name][i]:.2f} s', flush=True)
    return seconds


def peak_memory(process:subprocess.Popen) -> float|None:
    "Wait for a process to end; the most memory in MB that it and its children had, or None without psutil."
    try:
        import psutil
    except ImportError:
        process.wait()
        return None
    most = 0
    while process.poll() is None:
        try:
            own = psutil.Process(process.pid)
            most = max(most, sum(o.memory_full_info().pss for o in (own, *own.children(recursive=True))))
        except psutil.Error: # one of them has just ended
            pass
        time.sleep(.5)
    return most/2**20


def run_apart(name:str, args, watched:bool=False) -> dict|str:
    "`one_run` in a process of its own, `watched` for its memory; its last line of output, or why there is none."
    command = [sys.executable, '-m', 'benchmarks', '--only', name, '--data', args.data, '--folder', str(args.folder)]
    command += ['--batches', str(args.batches)]*bool(args.batches)+['--first']*args.first
    with tempfile.TemporaryFile('w+') as out, tempfile.TemporaryFile('w+') as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env={**os.environ, 'PYTHONWARNINGS':'ignore'})
        memory = peak_memory(process) if watched else process.wait() and None
        for o in (out, err):
            o.seek(0)
        if process.returncode == 0:
            return dict(memory_mb=memory) if watched else json.loads(out.read().splitlines()[-1])
        said = err.read().strip()
        return said.splitlines()[-1] if said else f'ended with {process.returncode}'


def run_all_apart(names:list, args) -> tuple: # Seconds by way and round, what else each run told, why ways were skipped
    "The rounds of `run_apart`, and one more in which memory is watched."
    seconds,runs,skipped = {o:{} for o in names},{o:[] for o in names},{}
    for i in range(args.rounds+1):
        for name in (o for o in names if o not in skipped):
            out = run_apart(name, args, watched=i == args.rounds)
            if isinstance(out, str):
                skipped[name] = said = f'skipped: {out}'
            else:
                runs[name].append(out)
                if 'epoch' in out:
                    seconds[name][i] = out['epoch']
                said = f'{out["epoch"]:.2f} s' if 'epoch' in out else 'memory'
            print(f'round {i+1}  {name:<14} {said}', flush=True)
    return seconds, runs, skipped


def table(seconds:dict, runs:dict, base:str) -> list:
    "A row for each way: minimum and median seconds, its time over that of `base` with quartiles, import and memory."
    heads = ('min s', 8), ('median s', 9), (f'/ {base}', 16), ('middle half', 16), ('import s', 10), ('memory MB', 10)
    rows = [' '.join([' '*14, *[o.rjust(w) for o,w in heads]])]
    for name,s in seconds.items():
        ratios = [o/seconds[base][i] for i,o in s.items() if i in seconds.get(base, {})]
        low,mid,high = quartiles(ratios) if ratios else (None,)*3
        span,ratio = (f'{low:.3f} to {high:.3f}', f'{mid:.3f}') if ratios else ('', '')
        kept = [[r[k] for r in runs.get(name, []) if r.get(k)] for k in ('imports', 'memory_mb')]
        shown = [f'{statistics.median(o):.1f}' if o else '' for o in kept]
        rows.append(f'{name:<14} {min(s.values()):8.2f} {statistics.median(s.values()):9.2f} {ratio:>16} {span:>16} '
                    f'{shown[0]:>10} {shown[1]:>10}')
    return rows


def arguments() -> argparse.ArgumentParser:
    "The command line."
    p = argparse.ArgumentParser(prog='python -m benchmarks', description=__doc__.splitlines()[0])
    p.add_argument('--rounds', type=int, default=3, help='epochs of each, in turn (default: 3)')
    p.add_argument('--data', default='auto', help='auto, mnist, digits, or a folder with the four MNIST files')
    p.add_argument('--ways', default='', help='only these, separated by commas (default: all)')
    p.add_argument('--base', default='library', help='the way that others are divided by (default: library)')
    p.add_argument('--together', action='store_true', help='all in one process, to tell small differences')
    p.add_argument('--first', action='store_true', help='time the first epoch of a fresh training in each round')
    p.add_argument('--json', type=Path, help='also write everything measured to this file')
    p.add_argument('--batches', type=int, help='this many batches in place of a whole epoch, to try the benchmark out')
    p.add_argument('--only', help=argparse.SUPPRESS)
    p.add_argument('--folder', type=Path, help=argparse.SUPPRESS)
    return p


def main():
    p = arguments()
    args = p.parse_args()
    if args.only:
        return print(json.dumps(one_run(args.only, args.data, args.folder, args.batches, args.first)))
    from benchmarks.contenders import CONTENDERS
    ways = [*CONTENDERS] if args.together else [*CONTENDERS, 'floor']
    names = args.ways.split(',') if args.ways else ways
    for o in (*names, args.base):
        if o not in ways:
            p.exit(2, f'{p.prog}: unknown way {o!r}: choose from {", ".join(ways)}\n')
    with tempfile.TemporaryDirectory() as folder:
        args.folder = Path(folder)
        if args.together:
            seconds,runs,skipped = run_together(names, args),{},{}
        else:
            seconds,runs,skipped = run_all_apart(names, args)
    print('\n'.join(['', *table({k:v for k,v in seconds.items() if v}, runs, args.base), '', f'{versions()}']))
    report(args, rounds=args.rounds, batches=args.batches, first=args.first, seconds=seconds, runs=runs,
           skipped=skipped)


if __name__ == '__main__':
    main()
