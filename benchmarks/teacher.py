"""What a teacher costs: short epochs of the recipes that have one, with and without it, in turn.

Each has a process of its own and one thread, and trains and validates on every fourth image, after an epoch that is not
timed. The ratio is taken within a round.
"""
import statistics

from benchmarks.turns import epochs_of, few, in_turn, parser, quartiles, report


def setup(name:str, taught:bool, data:str):
    "A short epoch of a recipe."
    import torch
    from mnist_small.learner import mnist_learner
    from mnist_small.loader import mnist_dls
    from mnist_small.recipes import RECIPES, changed_recipe
    torch.set_num_threads(1)
    recipe = RECIPES[name] if taught else changed_recipe(RECIPES[name], 'teacher=None')
    return epochs_of(mnist_learner(recipe, mnist_dls(images=few(data), bs=recipe.bs), compile='kernels'))


def main():
    args = parser(__doc__, 'teacher', 9).parse_args()
    from mnist_small.recipes import RECIPES
    names = [k for k,o in RECIPES.items() if o.teacher]
    seconds = in_turn({(o, t):(setup, o, t, args.data) for o in names for t in (True, False)}, args.rounds, warm=True)
    found = {o:dict(taught=seconds[o,True], alone=seconds[o,False]) for o in names}
    print('\nrecipe    taught, s  alone, s  taught / alone')
    for name,o in found.items():
        low,middle,high = quartiles([a/b for a,b in zip(o['taught'], o['alone'], strict=True)])
        print(f'{name:<9} {statistics.median(o["taught"]):9.2f} {statistics.median(o["alone"]):9.2f}  '
              f'{middle:.2f} ({low:.2f} to {high:.2f})')
    report(args, seconds=found)


if __name__ == '__main__':
    main()
