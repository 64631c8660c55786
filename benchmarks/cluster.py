"""What a sweep on a Dask cluster takes beside its trainings, and how it scales: one worker and two, on this machine.

For each number of workers a scheduler and workers are started, and two sweeps are sent there: one of runs that train
nothing, which shows what sending a run and placing its files takes, and one of short trainings of recipe 3. The same
trainings without a cluster, as many beside each other, are what both are held against. What is timed lies between the
ends of runs, after the first of each worker, so that starting, imports and compiling do not count. Caller, scheduler
and workers share this machine's cores.
"""
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks.turns import parser, report

SIZES = {'recipe.json':3000, 'history.csv':1500, 'model.safetensors':25_000} # bytes, as of a run of recipe 3


def nothing(folder:Path, data, seed:int) -> tuple:
    "A run that trains nothing and leaves as much as one that does."
    folder.mkdir()
    for k,v in SIZES.items():
        (folder/k).write_bytes(bytes(v))
    return seed, None


@contextmanager
def cluster(workers:int):
    "A scheduler and `workers` workers on this machine: its address."
    with socket.create_server(('127.0.0.1', 0)) as o:
        port = o.getsockname()[1]
    address = f'tcp://127.0.0.1:{port}'
    commands = [('scheduler', '--host', '127.0.0.1', '--port', f'{port}'),
                ('worker', address, '--nthreads', '1', '--nworkers', f'{workers}', '--host', '127.0.0.1')]
    processes = [subprocess.Popen([sys.executable, '-m', 'dask', *o, '--no-dashboard'], stderr=subprocess.DEVNULL)
                 for o in commands]
    try:
        from distributed import Client
        with Client(address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
        yield address
    finally:
        for o in processes[::-1]:
            o.terminate()
            o.wait()


def seconds_a_run(ends:list, beside:int) -> float:
    "Seconds from run to run: the median of how long `beside` of them took."
    return statistics.median(b-a for a,b in zip(ends, ends[beside:], strict=False))/beside


def sending(address:str, workers:int, runs:int, images, folder:Path) -> float:
    "Seconds that a run which trains nothing takes."
    from benchmarks.cluster import nothing # not `__main__`'s, which a worker does not have
    from mnist_small.cluster import on_cluster
    calls = {o:partial(nothing, seed=o) for o in range(runs)}
    ends = []
    for seed,failure in on_cluster(address, calls, {o:folder/f'{o}' for o in calls}, images):
        ends.append(time.perf_counter())
        if failure:
            sys.exit(f'run {seed}: {failure}')
    return seconds_a_run(ends, workers)


def training(beside:int, args, folder:Path, scheduler:str|None=None) -> float:
    "Seconds from the end of a training to that of the next, with `beside` of them beside each other."
    from mnist_small.sweep import sweep
    ends = []
    def say(line):
        if line.startswith('seed '):
            ends.append(time.perf_counter())
    sweep(3, range(args.rounds*beside), folder, beside, args.epochs, args.data, say=say, scheduler=scheduler)
    return seconds_a_run(ends, beside)


def main():
    p = parser(__doc__, 'cluster', 4, unit='trainings for each worker')
    p.add_argument('--epochs', type=int, default=3, help='of each training (default: 3)')
    p.add_argument('--nothing', type=int, default=100, help='runs that train nothing (default: 100)')
    p.add_argument('--workers', type=int, nargs='+', default=[1, 2], help='how many workers (default: 1 2)')
    args = p.parse_args()
    from mnist_small.images import load_images
    images,found = load_images(args.data),dict(sending={}, cluster={}, here={})
    with tempfile.TemporaryDirectory() as tmp:
        for n in args.workers:
            with cluster(n) as address:
                found['sending'][n] = sending(address, n, args.nothing, images, Path(tmp)/f'nothing {n}')
                found['cluster'][n] = training(n, args, Path(tmp)/f'cluster {n}', address)
            found['here'][n] = training(n, args, Path(tmp)/f'here {n}')
            print(f'{n} worker{"s"*(n > 1)}: a run of nothing {1000*found["sending"][n]:.0f} ms, a training every '
                  f'{found["cluster"][n]:.2f} s; without a cluster every {found["here"][n]:.2f} s', flush=True)
    report(args, distributed=version('distributed'), source=images.source, epochs=args.epochs,
           runs=args.rounds, seconds=found)


if __name__ == '__main__':
    main()
