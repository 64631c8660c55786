"""Recipe 3 and the sprint on one graphics card, eager and with torch.compile, and the verbs that break on cards.

First a floor (the network's floating-point operations at the rate of a matrix product) and a plain loop that does what
the learner does; then each verb once, on an eighth of the images; then, seed by seed, whole trainings, timed from the
call of `fit_one_cycle` to its end, compiling included, with the most memory that torch had on the card. What would not
fit into `--minutes` is left out, in a line that says so. `--device cpu` tries the script out.
"""
import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.turns import few, seconds_of, versions
from benchmarks.verbs import VERBS, tried

WAYS = dict(eager=False, compiled='torch')
"The values of `compile` that are measured."


class Budget:
    "Time that is left; what took so long before is not begun without it."
    def __init__(self, minutes:float):
        self.end,self.took = time.perf_counter()+60*minutes,{}

    def run(self, name:str, kind:str, f, most:float=60.): # What `f` gives, or None if it was left out
        "Call `f` if there is time for as long as its `kind` took before, or `most` seconds."
        left = self.end-time.perf_counter()
        if left < 1.2*self.took.get(kind, most):
            print(f'{name:<34} left out: {max(left, 0):.0f} s are left', flush=True)
            return None
        start = time.perf_counter()
        try:
            return f()
        finally:
            self.took[kind] = time.perf_counter()-start


class Bench:
    "Images, device and folder, and the trainings and verbs on them."
    def __init__(self, args, folder:Path):
        import torch
        from mnist_small.images import load_images
        self.device,self.folder,self.data = torch.device(args.device),folder,args.data
        self.images,self.few = load_images(args.data),few(args.data, 8)
        self.on_card = self.device.type == 'cuda'

    def wait(self):
        "Until the card has done what it was told."
        import torch
        if self.on_card:
            torch.cuda.synchronize()

    def learner(self, recipe=3, images=None, **kwargs):
        "A learner on the device."
        from mnist_small.learner import mnist_learner
        from mnist_small.loader import mnist_dls
        dls = mnist_dls(images=images or self.few, device=self.device)
        return mnist_learner(recipe, dls, path=self.folder, **kwargs)

    def loop(self) -> dict:
        "Seconds for epochs of the plain loop, after a first one that does not count."
        from benchmarks.bare import recipe_loop
        epoch = recipe_loop(self.images, lambda model: model, self.device)
        def timed():
            self.accuracy = epoch()
            self.wait()
        timed()
        return dict(seconds=[seconds_of(timed) for _ in range(3)], accuracy=self.accuracy)

    def training(self, recipe, seed:int, way:str, epochs:int|None) -> dict:
        "One training: seconds, accuracy of each epoch, and the most memory."
        import torch
        learn = self.learner(recipe, self.images, seed=seed, compile=WAYS[way])
        if self.on_card:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        def fit():
            with learn.no_bar(), learn.no_logging():
                learn.fit_one_cycle(epochs or learn.recipe.epochs)
            self.wait()
        seconds,log = seconds_of(fit),learn.training_log.history
        peak = torch.cuda.max_memory_allocated()/2**20 if self.on_card else None
        return dict(recipe=str(recipe), way=way, seed=seed, epochs=len(log), seconds=seconds, memory_mb=peak,
                    epoch_seconds=[o['time'] for o in log], accuracy=[o['accuracy'] for o in log],
                    why_not=learn.fast_training.why_not)

    def trained(self, **kwargs):
        "A learner that has trained two short epochs."
        learn = self.learner(**kwargs)
        learn.fit_one_cycle(2)
        return learn


def table(runs:list) -> list:
    "A row for each recipe and way: seconds of a training and of an epoch, accuracy at the end, memory."
    heads = f'{"runs":>4} {"epochs":>6} {"seconds":>8} {"an epoch":>9} {"accuracy at the end":>28} {"memory MB":>10}'
    rows = [f'{"recipe":<8} {"way":<9} {heads}']
    for recipe,way in dict.fromkeys((o['recipe'], o['way']) for o in runs):
        of = [o for o in runs if (o['recipe'], o['way']) == (recipe, way)]
        epoch = statistics.median(s for o in of for s in o['epoch_seconds'][1:] or o['epoch_seconds'])
        ends = ', '.join(f'{100*o["accuracy"][-1]:.2f}' for o in of)
        memory = f'{max(o["memory_mb"] for o in of):10.0f}' if of[0]['memory_mb'] is not None else ''
        seconds = statistics.median(o['seconds'] for o in of)
        rows.append(f'{recipe:<8} {way:<9} {len(of):4} {of[0]["epochs"]:6} {seconds:8.1f} {epoch:9.3f} '
                    f'{ends:>28} {memory}')
    return rows


def one_training(bench:Bench, budget:Budget, runs:list, seed:int, way:str, recipe, epochs:int|None):
    "Run a training if there is time, tell of it, and add it to `runs`."
    name = f'recipe {recipe}, {way}, seed {seed}'
    run = budget.run(name, f'{recipe} {way}', lambda: bench.training(recipe, seed, way, epochs))
    if run:
        runs.append(run)
        said = f' (not compiled: {run["why_not"]})' if way == 'compiled' and run['why_not'] else ''
        print(f'{name:<34} {run["seconds"]:.1f} s, {100*run["accuracy"][-1]:.2f} %{said}', flush=True)


def arguments() -> argparse.Namespace:
    "The command line."
    p = argparse.ArgumentParser(prog='python -m benchmarks.gpu', description=__doc__.splitlines()[0])
    p.add_argument('--data', default='auto', help='auto, mnist, digits, or a folder with the four MNIST files')
    p.add_argument('--device', default='cuda', help='where to train (default: cuda)')
    p.add_argument('--minutes', type=float, default=8, help='what would take longer is left out (default: 8)')
    p.add_argument('--seeds', type=int, default=3, help='trainings of each kind (default: 3)')
    p.add_argument('--epochs', type=int, help="in place of the recipes' 15 and 6, to try the script out")
    p.add_argument('--ways', default=','.join(WAYS), help='eager, compiled, or both (default)')
    p.add_argument('--json', type=Path, help='also write everything measured to this file')
    args = p.parse_args()
    unknown = set(args.ways.split(','))-set(WAYS)
    if unknown:
        p.exit(2, f'{p.prog}: unknown way {min(unknown)!r}: choose from {", ".join(WAYS)}\n')
    return args


def main():
    args = arguments()
    import warnings
    warnings.simplefilter('ignore')
    os.environ.update(MPLBACKEND='Agg', PYTHONWARNINGS='ignore')
    import torch
    from benchmarks.bare import epoch_flops, product_rate
    from mnist_small.record import machine_info
    budget,out = Budget(args.minutes),dict(machine=machine_info(), versions=versions(), verbs={}, trainings=[])
    with tempfile.TemporaryDirectory() as folder:
        b = Bench(args, Path(folder))
        out['device'] = torch.cuda.get_device_name(b.device) if b.on_card else str(b.device)
        print(f'{out["device"]}, torch {torch.__version__}; {b.images}', flush=True)
        out['floor'] = epoch_flops(b.images)/product_rate(b.device, 8192 if b.on_card else 1024)
        print(f'{"floor of an epoch":<34} {out["floor"]:.4f} s', flush=True)
        out['loop'] = budget.run('plain loop', 'loop', b.loop)
        if out['loop']:
            print(f'{"an epoch of a plain loop":<34} {statistics.median(out["loop"]["seconds"]):.3f} s', flush=True)
        for verb in VERBS:
            name = verb.__name__
            said = budget.run(name, 'verb', lambda verb=verb: tried(verb, b), most=30)
            out['verbs'][name] = said
            if said:
                print(f'{name:<34} {said}', flush=True)
        for kind in itertools.product(range(args.seeds), args.ways.split(','), (3, 'sprint')):
            one_training(b, budget, out['trainings'], *kind, args.epochs)
            if args.json: # after each, so that what was measured is there whatever happens next
                args.json.write_text(json.dumps(out, indent=1)+'\n')
    print('\n'.join(['', *table(out['trainings'])]))
    if args.json:
        args.json.write_text(json.dumps(out, indent=1)+'\n')


if __name__ == '__main__':
    main()
