"""The sprint from process start to end, and an epoch of the original's way, in turn.

In each round the sprint runs twice: as on a machine where nothing was trained before, so that it compiles, and again,
when the compiled library lies in the cache. The command is the one that a user types; its time includes the imports,
reading the data, writing the run folder and the end of the process (see `python -m benchmarks.startup`).
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.turns import parser, report, seconds_of

WAYS = 'first', 'again'


def command(name:str) -> str:
    "The console command `name`, from where this Python's packages have theirs."
    return str(Path(sys.executable).with_name(name))


def sprint(data:str, folder:Path, cache:Path) -> dict:
    "Seconds from start to end of `mnist_small_train --iteration sprint`, and the test accuracy that it reached."
    args = [command('mnist_small_train'), '--iteration', 'sprint', '--data', data, '--out', str(folder)]
    env = {**os.environ, 'XDG_CACHE_HOME':str(cache)}
    seconds = seconds_of(lambda: subprocess.run(args, env=env, check=True, capture_output=True))
    head,*_,last = (folder/'history.csv').read_text().splitlines()
    return dict(seconds=seconds, accuracy=float(dict(zip(head.split(','), last.split(','), strict=True))['accuracy']))


def original(data:str, folder:Path) -> float:
    "Seconds for an epoch of the original's way, in a process of its own."
    args = [sys.executable, '-m', 'benchmarks', '--only', 'original', '--data', data, '--folder', str(folder)]
    out = subprocess.run(args, check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1])['epoch']


def data_name(data:str) -> str:
    "What `data` stands for, in words that mean the same to a command with another cache, in another folder."
    from mnist_small.images import load_images
    images = load_images(data)
    return 'digits' if images.source == 'digits' else str(Path(images.origin).resolve())


def main():
    args = parser(__doc__, 'sprint', 3, unit='sprints of each kind').parse_args()
    data,found,epochs = data_name(args.data),{o:[] for o in WAYS},[]
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        for i in range(args.rounds):
            for name in WAYS:
                found[name].append(sprint(data, tmp/f'{name} {i}', tmp/f'cache {i}'))
                print(f'round {i+1}  sprint, {name}: {found[name][i]["seconds"]:.1f} s', flush=True)
            epochs.append(original(data, tmp))
            print(f"round {i+1}  an epoch of the original's way: {epochs[i]:.1f} s", flush=True)
    for name,runs in found.items():
        ratios = [o['seconds']/e for o,e in zip(runs, epochs, strict=True)]
        print(f"{name}: {statistics.median(ratios):.2f} of an epoch of the original's way "
              f"({min(ratios):.2f} to {max(ratios):.2f})")
    report(args, sprint=found, original=epochs)


if __name__ == '__main__':
    main()
