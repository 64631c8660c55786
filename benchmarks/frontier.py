"""Accuracy against parameters: networks from 1,000 to 8,000 parameters, trained with several seeds each.

    python -m benchmarks.frontier train --data DIR --csv results/frontier.csv
    python -m benchmarks.frontier draw --csv results/frontier.csv --out nbs/frontier.png

A network is written as its layers: `8` is a convolution of 3×3 that gives 8 channels, `s16` a separable one that gives
16, `s16p` one with zeros around its input, `|` a max-pooling; at the end the image is averaged and a convolution of 1×1
gives the classes, or, with `2x2`, one of 2×2 does. `--valid holdout` trains on five sixths of the training images and
validates on the others, to choose by; `--networks` and `--change` name other networks and other hyper-parameters than
those of the picture. `--teacher` trains another network first, on the same images: one of the package by its recipe, or
layers by recipe 3, without a teacher of its own. Its probabilities are learned as `soft_share` and `softness` say, in
place of those of the recipe's own teacher; `--change teacher=None` has none.

    python -m benchmarks.frontier train --valid holdout --recipe 3 --networks '8 s16 | s24 s24 | s24' \
        --change 'max_rotate=3,max_shift=.02,max_scale=.02,max_shear=1' --seeds 0-1
"""
import argparse
import csv
import json
import multiprocessing
import os
import statistics
import sys
from pathlib import Path

NETWORKS = {
    's12': ('fewest', '6 s12 | s12 s12 | s12'), 's16': ('fewest', '8 s16 | s16 s16 | s16'),
    '5-10': ('fewest', '5 10 | 10 10 | 10 2x2'), '8-15': ('best', '8 15 | 15 15 | 15 2x2')}
"By name: the recipe that it is trained by, and its layers. Others come from sweeps of their own."
SWEEPS = {'iteration1':'iteration 1', 'iteration2':'iteration 2', 'iteration3':'iteration 3', 'fewest':'fewest',
          'best':'best'}
"In results/: the package's own, by the name that the picture gives them."
LADDER = {'tried/fewest-2826':'s24', 'tried/best-untaught':'s40'}
"In results/: what was trained before `fewest` and `best`, as those were."
CLAIMS = {3130:[99.45], 3762:[99.52, 99.33, 99.30, 99.41], 4392:[99.46], 4838:[99.41], 4968:[99.42], 5340:[99.55],
          7510:[99.55]}
"Parameters, and the last epoch's accuracy of each run, from logs of public repositories: the smallest and the best."


def named(layers:str): # A recipe; None for layers
    "The recipe of this name."
    from mnist_small.files import InputError
    from mnist_small.recipes import get_recipe
    try:
        return get_recipe(layers)
    except InputError:
        return None


def network(layers:str):
    "The network that `layers` write out, or that of the recipe of this name."
    from mnist_small.models import MODELS, DigitNet, conv_block, separable_block
    from torch import nn
    recipe = named(layers)
    if recipe:
        return MODELS[recipe.model]()
    parts,n,size,out = layers.split(),1,28,[]
    whole = parts[-1] == '2x2'
    for o in parts[:-1] if whole else parts:
        if o == '|':
            out.append(nn.MaxPool2d(2))
            size //= 2
            continue
        wide,padding = int(o.strip('sp')),int(o[-1] == 'p')
        out += separable_block(n, wide, padding=padding) if o[0] == 's' else conv_block(n, wide, bias=False)
        n,size = wide,size-2+2*padding
    if whole:
        return DigitNet(*out, nn.Conv2d(n, 10, 2, bias=False), nn.AdaptiveAvgPool2d(1))
    return DigitNet(*out, nn.AvgPool2d(size), nn.Conv2d(n, 10, 1))


def learned(layers:str, recipe, seed:int, data:str, valid:str, cbs=()): # A learner
    "One training."
    import torch
    from fastai.torch_core import set_seed
    from mnist_small.images import load_images
    from mnist_small.learner import mnist_learner
    from mnist_small.loader import mnist_dls
    from torch import nn
    torch.set_num_threads(1)
    set_seed(seed)
    model = network(layers)
    for o in model.modules():
        if isinstance(o, nn.BatchNorm2d):
            o.momentum = recipe.bn_momentum
    learn = mnist_learner(recipe, mnist_dls(images=load_images(data), valid=valid, bs=recipe.bs), seed, model,
                          cbs, compile='kernels')
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(recipe.epochs)
    return learn


def train(task:tuple) -> dict: # A row
    "What one training came to."
    layers,recipe,change,seed,data,valid,teacher = task
    from mnist_small.evidence import LAST_ACCURACIES
    from mnist_small.models import num_params
    from mnist_small.recipes import changed_recipe, get_recipe
    from mnist_small.soft_targets import SoftTargets
    from safetensors.torch import load
    recipe,cbs = changed_recipe(get_recipe(recipe), change),[]
    if teacher:
        recipe,net = changed_recipe(recipe, 'teacher=None'),network(teacher[0])
        net.load_state_dict(load(teacher[1]))
        cbs.append(SoftTargets(net, recipe.softness))
    learn = learned(layers, recipe, seed, data, valid, cbs)
    last = [round(o['accuracy'], 4) for o in learn.training_log.history[-3:]]
    return dict(layers=layers, teacher=teacher[0] if teacher else recipe.teacher or '', seed=seed,
                parameters=num_params(learn.model), **dict(zip(LAST_ACCURACIES, last, strict=True)))


def trained(args) -> list: # Of rows
    "Train all that is asked for, side by side."
    chosen = [o.strip() for o in args.networks.split(',')] if args.networks else list(NETWORKS)
    asked = {o:(args.recipe or NETWORKS[o][0], NETWORKS[o][1]) if o in NETWORKS else (args.recipe or 'fewest', o)
             for o in chosen}
    first,_,last = args.seeds.partition('-')
    seeds,teacher = range(int(first), int(last or first)+1),None
    if args.teacher:
        from mnist_small.recipes import RECIPES, changed_recipe
        from safetensors.torch import save
        recipe = changed_recipe(named(args.teacher) or RECIPES[3], 'teacher=None')
        learn = learned(args.teacher, recipe, 0, args.data, args.valid)
        teacher = args.teacher,save(learn.model.state_dict())
        print(f'teacher {args.teacher}: {100*learn.training_log.history[-1]["accuracy"]:.2f}', flush=True)
    tasks = [(layers, recipe, args.change, seed, args.data, args.valid, teacher)
             for recipe,layers in asked.values() for seed in seeds]
    names = [name for name in asked for _ in seeds]
    os.environ['OMP_NUM_THREADS'] = '1'
    rows = []
    with multiprocessing.get_context('spawn').Pool(args.jobs) as pool:
        for (name,task),row in zip(zip(names, tasks, strict=True), pool.imap(train, tasks), strict=True):
            rows.append(dict(network=name, recipe=task[1], change=args.change, valid=args.valid, **row))
            print(name, row['seed'], f"{row['parameters']:,}", f"{100*row['accuracy_last']:.2f}", flush=True)
            if args.csv:
                write(args, rows)
    return rows


def write(args, rows:list):
    "Write what there is so far, with the machine and the versions."
    from benchmarks.turns import versions
    from mnist_small.record import machine_info
    with open(args.csv, 'w', newline='') as f:
        for k,v in (('command', f'python -m benchmarks.frontier {" ".join(sys.argv[1:])}'), ('versions', versions()),
                    ('machine', machine_info())):
            f.write(f'# {k}: {json.dumps(v)}\n')
        table = csv.DictWriter(f, list(rows[0]), lineterminator='\n')
        table.writeheader()
        table.writerows(rows)


def summary(rows:list):
    "Print what each network came to."
    for name in dict.fromkeys(o['network'] for o in rows):
        own = [o for o in rows if o['network'] == name]
        last = [100*float(o['accuracy_last']) for o in own]
        spread = f' ± {statistics.stdev(last):.3f}' if len(last) > 1 else ''
        print(f"{name:28} {int(own[0]['parameters']):6,}  {statistics.mean(last):.3f}{spread}  {len(last)} seeds")


def points(file:Path) -> dict: # By name: parameters, and the last accuracy of each seed in percent
    "What there is to draw."
    import pandas as pd
    from mnist_small.evidence import read_sweep
    frame,out = pd.read_csv(file, comment='#'),{}
    for name,rows in frame.groupby('network', sort=False):
        out[name] = int(rows['parameters'].iloc[0]),(100*rows['accuracy_last']).tolist()
    for stem,name in {**SWEEPS, **LADDER}.items():
        if (file.parent/f'{stem}.csv').exists():
            rows = read_sweep(file.parent/f'{stem}.csv')[1]
            out[name] = int(rows['parameters'].iloc[0]),(100*rows['accuracy_last']).tolist()
    return out


def draw(args):
    "The picture of the frontier."
    from matplotlib.figure import Figure
    fig = Figure((5.4, 6.2), layout='constrained')
    ax = fig.subplots()
    for name,(params,last) in points(args.csv).items():
        own,separable = name in SWEEPS.values(),name[0] == 's' or name in ('fewest', 'best')
        colour,mean,spread = 'C0' if separable else 'C2',statistics.mean(last),statistics.stdev(last)
        ax.errorbar(params, mean, spread, fmt='o' if own else 's', ms=8 if own else 5, capsize=3,
                    zorder=3, color=colour)
        if own:
            beside = params > 7900 # two that are close to each other and to the edge
            ax.annotate(f'{name}: {params:,}', (params, mean if beside else mean+spread), fontsize=9, weight='bold',
                        xytext=(-9, -3) if beside else (20, 5), textcoords='offset points', color=colour, ha='right')
    for params,runs in CLAIMS.items():
        ax.plot([params]*len(runs), runs, 'x', color='C1', ms=6, zorder=4)
        ax.annotate(f'{len(runs)}', (params, min(runs)), xytext=(0, -12), textcoords='offset points', fontsize=9,
                    color='#a04a00', ha='center')
    ax.axhline(99.4, color='grey', lw=1, ls='--')
    ax.annotate('target', (650, 99.4), fontsize=9, color='#555', va='bottom')
    for style,colour,what in (('o', 'C0', 'of the package, separable: 20 seeds'),
                              ('o', 'C2', 'of the package, plain: 20 seeds'),
                              ('s', 'C0', 'others, separable: 5 seeds or more'), ('s', 'C2', 'others, plain: 5 seeds'),
                              ('x', 'C1', 'public claims, with their number of runs')):
        ax.plot([], [], style, color=colour, label=what)
    ax.set(xlabel='parameters', ylabel='test accuracy in the last epoch, %', xlim=(600, 8300))
    ax.grid(alpha=.3)
    fig.legend(loc='outside lower center', fontsize=9)
    fig.savefig(args.out, dpi=110)


def main():
    p = argparse.ArgumentParser(prog='python -m benchmarks.frontier', description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=('train', 'draw'))
    p.add_argument('--networks', help='names or layers, separated by commas (default: those of the picture)')
    p.add_argument('--recipe', help="for all of them (default: each network's own, or fewest)")
    p.add_argument('--change', default='', help='hyper-parameters that differ from it, as for mnist_small_train')
    p.add_argument('--teacher', help='a recipe, or layers, of what is trained first, with seed 0')
    p.add_argument('--seeds', default='0-4', help='(default: %(default)s)')
    p.add_argument('--valid', choices=('test', 'holdout'), default='test', help='images to validate on (default: test)')
    p.add_argument('--data', default='auto', help='auto, mnist, digits, or a folder with the four MNIST files')
    p.add_argument('--jobs', type=int, default=2, help='trainings beside each other (default: %(default)s)')
    p.add_argument('--csv', type=Path, help='the table: written by train, read by draw')
    p.add_argument('--out', type=Path, help='with draw: the picture')
    args = p.parse_args()
    if args.what == 'draw':
        if not (args.csv and args.out):
            p.error('draw needs --csv and --out')
        return draw(args)
    from mnist_small.files import InputError, said_by
    try:
        summary(trained(args))
    except InputError as e:
        sys.exit(f'benchmarks.frontier: {said_by(e)}')


if __name__ == '__main__':
    main()
