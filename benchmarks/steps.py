"""What each part of the fast path buys, with kernels and with `compile=False`: short epochs without it, in turn.

Each part is left out in a process of its own, by a function that puts back what fastai or torch would do there and
touches no other part. Beside it a process with all parts runs, and the two train and validate short epochs in turn,
every fourth image with kernels, every sixteenth without, each after one that is not timed: what the other process has
pushed out of the caches is back by then. The ratio is taken within a round. A part whose lower quartile is not above
1.00 in either column should go.
"""
import statistics

from benchmarks.turns import BS, epochs_of, few, in_turn, parser, quartiles, report

WAYS = dict(kernels=('kernels', 4), uncompiled=(False, 16))
"What each part is measured with: `compile`, and every which image an epoch is made of."


def one_pass_over_the_images():
    from mnist_small import speed
    speed.fused = lambda dl, training: dl


def a_thousand_images_transformed_at_once():
    from fastai.data.core import TfmdDL
    from mnist_small.loader import ResidentDL
    from torch import Tensor
    def plain(self):
        for b in TfmdDL.__iter__(self):
            yield tuple(o.as_subclass(Tensor) for o in b)
    ResidentDL.block,ResidentDL.plain = property(lambda self: self.bs),plain


def one_product_for_all_grids():
    import torch.nn.functional as F
    from mnist_small import affine
    def affine_grid(matrix, h, w):
        return F.affine_grid(matrix, (len(matrix),1,h,w), align_corners=False)
    affine.affine_grid = affine_grid


def shuffled_in_one_call():
    from fastai.data.core import TfmdDL
    from mnist_small.loader import ResidentDL
    ResidentDL.shuffle_fn = TfmdDL.shuffle_fn


def labels_without_exceptions():
    from fastai.torch_core import TensorBase
    from mnist_small import loader
    loader.TensorCategory = type('Labels', (TensorBase,), {}) # no transform knows it


def plain_batches():
    from mnist_small.loader import ResidentDL
    ResidentDL.plain = ResidentDL.__iter__


def validation_in_large_batches():
    return dict(val_bs=BS)


def fused_optimiser():
    from functools import partial
    from mnist_small.optimisers import OPTIMISERS, FusedSGD, LeanOptim
    class SGD(FusedSGD):
        def __init__(self, params, **kwargs):
            super().__init__(params, **kwargs)
            for o in (self.defaults, *self.param_groups):
                o['fused'] = False
    OPTIMISERS['sgd'] = partial(LeanOptim, opt=SGD)


def averages_in_one_call():
    import torch
    def lerp(average, live, share):
        for a,b in zip(average, live, strict=True):
            a.lerp_(b, share)
    torch._foreach_lerp_ = lerp


def fewer_detours_between_batches():
    from mnist_small.loop import LeanLearner
    from mnist_small.optimisers import LeanOptim
    def all_batches(self): # as in fastai, but for the plain batches
        self.n_iter = len(self.dl)
        plain = self.training and hasattr(type(self.dl), 'plain')
        for o in enumerate(self.dl.plain() if plain else self.dl):
            self.one_batch(*o)
    for cls in (LeanLearner, LeanOptim):
        for o in DETOURS & set(vars(cls)):
            delattr(cls, o)
    LeanLearner.all_batches = all_batches


DETOURS = {'__call__', '_call_one', 'add_cb', 'remove_cb', 'all_batches', '_set_device', '_split', '_xtra', 'step',
           'zero_grad'}
"What `LeanLearner` and `LeanOptim` do in place of fastai's `Learner` and `OptimWrapper`."


def lean_loss_metric_and_schedule():
    from fastai.callback.schedule import ParamScheduler
    from fastai.learner import AvgMetric, AvgSmoothLoss
    from fastai.losses import CrossEntropyLossFlat
    from fastai.metrics import accuracy
    from mnist_small import callbacks, learner
    def metric():
        return AvgMetric(accuracy)
    def scheduler(scheds):
        return ParamScheduler({k:lambda pct, fs=fs: [f(pct) for f in fs] for k,fs in scheds.items()})
    learner.DigitLoss,learner.Accuracy,learner.LeanScheduler = CrossEntropyLossFlat,metric,scheduler
    callbacks.SmoothLoss = AvgSmoothLoss


PARTS = {o.__name__.replace('_', ' '):o for o in (
    one_pass_over_the_images, a_thousand_images_transformed_at_once, one_product_for_all_grids, shuffled_in_one_call,
    labels_without_exceptions, plain_batches, validation_in_large_batches, fused_optimiser, averages_in_one_call,
    fewer_detours_between_batches, lean_loss_metric_and_schedule)}
"What can be left out, by name: a function that replaces it, or gives other arguments of `mnist_dls`."


def setup(part:str|None, way:str, data:str):
    "A short epoch of recipe 3 without `part`."
    changed = PARTS[part]() or {} if part else {}
    from mnist_small.learner import mnist_learner
    from mnist_small.loader import mnist_dls
    compile,share = WAYS[way]
    return epochs_of(mnist_learner(3, mnist_dls(images=few(data, share), bs=BS, **changed), compile=compile))


def main():
    p = parser(__doc__, 'steps', 15)
    p.add_argument('--parts', default='', help=f'only these, separated by commas, of: {", ".join(PARTS)}')
    args = p.parse_args()
    parts = [o.strip() for o in args.parts.split(',')] if args.parts else [*PARTS]
    for o in parts:
        if o not in PARTS:
            p.exit(2, f'{p.prog}: unknown part {o!r}: choose from {", ".join(PARTS)}\n')
    seconds,found = {},{}
    for o in parts:
        for w in WAYS:
            pair = in_turn({k:(setup, k, w, args.data) for k in (o, None)}, args.rounds, warm=True)
            seconds.setdefault(w, {})[o] = {'without':pair[o], 'all':pair[None]}
            found.setdefault(w, {})[o] = quartiles([a/b for a,b in zip(pair[o], pair[None], strict=True)])
    print(f'\n{"left out":<38}' + ''.join(f' {w+", s":>13} {"/ all":>6} {"middle half":>14}' for w in WAYS))
    for o in parts:
        row = ''
        for w in WAYS:
            low,middle,high = found[w][o]
            row += f' {statistics.median(seconds[w][o]["without"]):13.2f} {middle:6.3f} {low:.3f} to {high:.3f}'
        print(f'{o:<38}{row}{"  goes" if all(found[w][o][0] <= 1 for w in WAYS) else ""}')
    report(args, rounds=args.rounds, seconds=seconds, quartiles=found)


if __name__ == '__main__':
    main()
