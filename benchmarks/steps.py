"""What each part of the fast path buys: short epochs with all parts, and with one of them left out, in turn.

A short epoch trains on every fourth image and validates on every fourth test image.
"""
import statistics

from benchmarks.turns import BS, arguments, epochs_of, few, in_turn, report


def compiled(): return dict(compile=False)

def kernels(): return dict(compile='torch')

def memory_kept():
    from mnist_small import speed
    speed.keep_freed_memory = lambda: False

def a_thousand_images_transformed_at_once():
    from mnist_small.data import ResidentDL
    ResidentDL.block = property(lambda self: self.bs)

def one_product_for_all_grids():
    import torch.nn.functional as F
    from mnist_small import augment
    augment.affine_grid = lambda m, h, w: F.affine_grid(m, (len(m),1,h,w), align_corners=False)

def shuffled_in_one_call():
    from fastai.data.core import TfmdDL
    from mnist_small.data import ResidentDL
    ResidentDL.shuffle_fn = TfmdDL.shuffle_fn

def validation_in_large_batches(): return dict(val_bs=BS)

def fused_optimiser():
    import torch
    from fastai.optimizer import OptimWrapper
    from functools import partial
    from mnist_small.learner import OPTIMISERS
    OPTIMISERS['sgd'] = partial(OptimWrapper, opt=partial(torch.optim.SGD, momentum=.9, nesterov=True))

def averages_in_one_call():
    import torch
    def lerp(average, live, share):
        for a,b in zip(average, live): a.lerp_(b, share)
    torch._foreach_lerp_ = lerp

def labels_without_exceptions():
    from fastai.torch_core import TensorBase
    from mnist_small import data
    data.TensorCategory = type('Labels', (TensorBase,), {}) # no transform knows it

def fewer_detours_between_batches():
    from fastai.learner import Learner
    from mnist_small.learner import LeanLearner, LeanOptim
    for o in ('__call__', '_call_one', 'add_cb', 'all_batches', '_set_device', '_split'):
        setattr(LeanLearner, o, getattr(Learner, o))
    del LeanLearner._xtra, LeanOptim.step, LeanOptim.zero_grad

def lean_loss_metric_and_schedule():
    from fastai.callback.schedule import ParamScheduler
    from fastai.learner import AvgMetric, AvgSmoothLoss
    from fastai.losses import CrossEntropyLossFlat
    from fastai.metrics import accuracy
    from mnist_small import callbacks, learner
    learner.DigitLoss,learner.Accuracy = CrossEntropyLossFlat,lambda: AvgMetric(accuracy)
    callbacks.SmoothLoss = AvgSmoothLoss
    def scheduler(scheds): return ParamScheduler({k:lambda pct, fs=fs: [f(pct) for f in fs] for k,fs in scheds.items()})
    learner.LeanScheduler = scheduler


PARTS = {o.__name__.replace('_', ' '):o for o in (
    compiled, kernels, memory_kept, a_thousand_images_transformed_at_once,
    one_product_for_all_grids, shuffled_in_one_call, validation_in_large_batches, fused_optimiser,
    averages_in_one_call, labels_without_exceptions, fewer_detours_between_batches, lean_loss_metric_and_schedule)}
"What can be left out, by name: a function that replaces it, or gives other arguments."


def setup(part:str|None, data:str):
    "An epoch without `part`."
    changed = PARTS[part]() or {} if part else {}
    from mnist_small.data import mnist_dls
    from mnist_small.learner import mnist_learner
    dls = mnist_dls(images=few(data), bs=BS, val_bs=changed.pop('val_bs', 1000))
    return epochs_of(mnist_learner(3, dls, **{'compile':'kernels', **changed}))


def main():
    args = arguments(__doc__, 'steps', 7)
    seconds = in_turn({o or 'all':(setup, o, args.data) for o in (None, *PARTS)}, args.rounds)
    print(f'\n{"left out":<42} {"seconds":>8} {"/ all":>7}  middle half')
    for name,s in seconds.items():
        ratios = [a/b for a,b in zip(s, seconds['all'])]
        low,_,high = statistics.quantiles(ratios, n=4) if args.rounds > 1 else ratios*3
        print(f'{name:<42} {statistics.median(s):8.2f} {statistics.median(ratios):7.3f}  {low:.3f} to {high:.3f}')
    report(args, seconds=seconds)


if __name__ == '__main__': main()
