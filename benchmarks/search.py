"""Up to twelve decisions about a recipe, tried in 24 or 48 trainings on held-out images.

Each training has its own seed and takes one of two values for every decision. The values are laid out by a folded
Plackett-Burman design (Plackett and Burman 1946, Biometrika 33): every value is used in 12 trainings, in which all
other decisions are balanced, so that each decision is a comparison of 12 seeds with 12, and the effect of one is not
mixed up with that of another, nor with what two do together. In 48 trainings the design is there twice.

    python -m benchmarks.search plan sprint | xargs -P 2 -I {} sh -c {}
    python -m benchmarks.search table sprint --csv results/tried/sprint.csv

What reads other people's digits is decided on theirs too, as `benchmarks.strangers` reads them with what was trained:

    python -m benchmarks.strangers --split train --usps DIR --json FILE sweeps/search-reader/run-*/seed-*
    python -m benchmarks.search table reader --strangers FILE --csv results/tried/reader.csv

`recipe3`, without moment normalisation, made results/tried/search.csv. A twelfth decision was then how the network is
compiled, by one of two ways of which none is left.
"""
import argparse, json
from pathlib import Path

SEARCHES = dict(
    recipe3=(dict(moment_norm=None), dict(
        lr=(.2, .4), bs=(96, 192), wd=(2e-4, 1e-3), max_rotate=(3., 7.), max_shift=(.02, .06), max_scale=(.02, .06),
        max_shear=(0., 4.), ema_decay=(.997, .999), label_smoothing=(0., .05), pct_start=(.15, .4),
        bn_momentum=(.05, .2)), 1),
    sprint=(dict(epochs=4), dict(
        lr=(.2, .4), bs=(64, 128), wd=(2e-4, 1e-3), max_rotate=(0., 5.), max_shift=(.02, .04), max_scale=(0., .04),
        max_shear=(0., 2.), ema_decay=(.99, .997), label_smoothing=(0., .05), pct_start=(.15, .4),
        bn_momentum=(.05, .2), moment_norm=(.35, .65)), 1),
    steady=({}, dict(
        lr=(.2, .4), wd=(2e-4, 1e-3), max_rotate=(2., 6.), max_shift=(.03, .06), max_scale=(.02, .06),
        max_shear=(0., 4.), ema_decay=(.997, .999), label_smoothing=(0., .05), pct_start=(.15, .35),
        bn_momentum=(.05, .2), moment_norm=(.35, .65)), 2),
    reader=({}, dict(
        thicken=(.3, .6), thin=(.15, .35), max_rotate=(5., 10.), max_shift=(.04, .07), max_scale=(.04, .12),
        max_shear=(2., 6.), moment_norm=(.5, .8), lr=(.15, .3), wd=(1e-4, 4e-4), label_smoothing=(0., .05),
        ema_decay=(.997, .999), bn_momentum=(.05, .2)), 2))
"By name: what differs from recipe 3 in all; what is decided, between which two values; how often the design is there."


def design() -> list:
    "24 rows of 12 signs, -1 or 1: the 12 rows of Plackett and Burman, and the same with all signs turned."
    first = [1, 1, -1, 1, 1, 1, -1, -1, -1, 1, -1]
    rows = [first[-i:]+first[:-i] for i in range(11)] + [[-1]*11]
    return [[*o, -1] for o in rows] + [[*(-s for s in o), 1] for o in rows]


def plan(search:str) -> list:
    "For each training, the value of every decision."
    decided = SEARCHES[search][1].items() # twelve, or fewer
    return [{k:v[s > 0] for (k,v),s in zip(decided, row, strict=False)} for row in design()*SEARCHES[search][2]]


def command(search:str, seed:int, values:dict, out:str) -> str:
    "The command of one training."
    change = ','.join(f'{k}={v}' for k,v in dict(SEARCHES[search][0], **values).items())
    return (f'mnist_small_sweep --iteration 3 --valid holdout --seeds {seed} --jobs 1 --change {change} '
            f'--out {out}/run-{seed:02}')


def collect(search:str, out:str): # A row for each training that is complete, and the first `Run`
    "What the trainings in the folder `out` came to."
    import pandas as pd
    from mnist_small.evidence import LAST_ACCURACIES, seeds_frame
    from mnist_small.runs import Run
    folders = [Path(out)/f'run-{o:02}'/f'seed-{o:02}' for o in range(len(plan(search)))]
    runs = [o for o in map(Run, (o for o in folders if (o/'recipe.json').exists())) if o.complete]
    if not runs:
        return pd.DataFrame(), None
    frame = seeds_frame(runs)[['seed', 'train_accuracy', *LAST_ACCURACIES]]
    return pd.DataFrame(plan(search)).rename_axis('seed').reset_index().merge(frame, on='seed'), runs[0]


def add_strangers(frame, file:Path, out:str) -> list: # Names of the new columns
    "Give `frame` what each training read right of other people's digits."
    read = json.loads(file.read_text())['accuracy']
    found = [read.get(f'{out}/run-{o:02}/seed-{o:02}') for o in frame['seed']]
    if None in found:
        raise SystemExit(f'{file} is not of all the trainings in {out}')
    for o in found[0]:
        frame[o] = [row[o] for row in found]
    return list(found[0])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=('plan', 'table'), help='print the commands, or what the trainings came to')
    p.add_argument('search', choices=SEARCHES, help='what is decided')
    p.add_argument('--epoch', choices=('third_last', 'second_last', 'last'), default='last',
                   help='with table: the epoch whose accuracy is compared (default: last)')
    p.add_argument('--out', help='folder of the trainings (default: sweeps/search-SEARCH)')
    p.add_argument('--strangers', type=Path, metavar='JSON', help="with table: compare what is in this file as well")
    p.add_argument('--csv', type=Path, help='with table: also write a row for each training to this file')
    args = p.parse_args()
    name,out = args.search,args.out or f'sweeps/search-{args.search}'
    if args.what == 'plan':
        return print('\n'.join(command(name, i, o, out) for i,o in enumerate(plan(name))))
    from mnist_small.evidence import main_effects
    frame,first = collect(name, out)
    if len(frame) < len(plan(name)):
        print(f'{len(frame)} of {len(plan(name))} trainings are complete in {out}')
    if not len(frame):
        p.exit(1)
    by = [f'accuracy_{args.epoch}', *(add_strangers(frame, args.strangers, out) if args.strangers else ())]
    for o in by:
        print(f'{o}:\n{main_effects(frame, list(SEARCHES[name][1]), o).to_string(index=False)}')
    if args.csv:
        told = dict(command=f'python -m benchmarks.search plan {name} | xargs -P 2 -I {{}} sh -c {{}}',
                    **{k:first.record[k] for k in ('versions', 'machine')}, data={
                        k:v for k,v in first.record['data'].items() if k != 'origin'})
        comments = ''.join(f'# {k}: {json.dumps(v)}\n' for k,v in told.items())
        args.csv.write_text(comments+frame.to_csv(index=False))


if __name__ == '__main__':
    main()
