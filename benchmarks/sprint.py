"""The sprint from process start to end, and an epoch of the original's way, in turn.

In each round the sprint runs twice: as on a machine where nothing was trained before, so that it compiles, and again,
when the compiled library lies in the cache.
"""
import json, os, statistics, subprocess, sys, tempfile, time
from pathlib import Path

from benchmarks.turns import arguments, report

WAYS = 'first', 'again'


def sprint(data:str, folder:Path, cache:Path) -> dict:
    "Seconds from start to end of `mnist_small_train --iteration sprint`, and the test accuracy that it reached."
    command = [str(Path(sys.executable).with_name('mnist_small_train')), '--iteration', 'sprint', '--data', data,
               '--out', str(folder)]
    start = time.perf_counter()
    subprocess.run(command, env={**os.environ, 'XDG_CACHE_HOME':str(cache)}, check=True, capture_output=True)
    seconds = time.perf_counter()-start
    lines = (folder/'history.csv').read_text().splitlines()
    return dict(seconds=seconds, accuracy=float(dict(zip(lines[0].split(','), lines[-1].split(',')))['accuracy']))


def original(data:str, folder:Path) -> float:
    "Seconds for an epoch of the original's way, in a process of its own."
    command = [sys.executable, '-m', 'benchmarks', '--only', 'original', '--data', data, '--folder', str(folder)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1])['epoch']


def main():
    args = arguments(__doc__, 'sprint', 3, unit='sprints of each kind')
    from mnist_small.data import load_images
    images = load_images(args.data)
    data = 'digits' if images.source == 'digits' else images.origin # the sprints look into another cache
    found,epochs = {o:[] for o in WAYS},[]
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        for i in range(args.rounds):
            for name in WAYS:
                found[name].append(sprint(data, tmp/f'{name} {i}', tmp/f'cache {i}'))
                print(f'round {i+1}  sprint, {name}: {found[name][i]["seconds"]:.1f} s', flush=True)
            epochs.append(original(data, tmp))
            print(f"round {i+1}  an epoch of the original's way: {epochs[i]:.1f} s", flush=True)
    for name,runs in found.items():
        ratios = [o['seconds']/e for o,e in zip(runs, epochs)]
        print(f"{name}: {statistics.median(ratios):.2f} of an epoch of the original's way "
              f"({min(ratios):.2f} to {max(ratios):.2f})")
    report(args, sprint=found, original=epochs)


if __name__ == '__main__': main()
