"""Where the time of a training step goes: torch's profiler over short epochs of recipe 3.

A short epoch trains on every fourth image, here without validating. What the profiler itself costs is in the figures.
"""
import statistics
import time
from collections import defaultdict

from benchmarks.turns import BS, few, parser, report

KINDS = {'kernels, backward': ('_PassBackward',),
         'kernels, forward': ('_Pass',),
         'images: moments, affine maps, normalisation': ('grid_sampler', 'aten::mm', 'aten::addmm', 'aten::baddbmm',
                                                         'aten::bmm', 'aten::index', 'aten::div', 'aten::sub'),
         'optimiser and averaged weights': ('sgd', 'SGD', 'lerp'),
         'loss and accuracy': ('softmax', 'nll_loss', 'argmax', 'aten::eq')}
"What the profiler's operations belong to: the first of these that has a part of its name."
OTHER,PYTHON = 'other operations of torch','Python between operations'


def profiled(epoch) -> dict: # Seconds by what they were spent on
    "Run `epoch` under the profiler."
    from torch.profiler import ProfilerActivity, profile
    start = time.perf_counter()
    with profile(activities=[ProfilerActivity.CPU]) as p:
        epoch()
    wall,spent = time.perf_counter()-start,defaultdict(float)
    for e in p.key_averages():
        kind = next((k for k,names in KINDS.items() if any(o in e.key for o in names)), OTHER)
        spent[kind] += e.self_cpu_time_total/1e6
    return {**spent, PYTHON:wall-sum(spent.values())}


def main():
    args = parser(__doc__, 'profile', 5).parse_args()
    from fastai.callback.core import Callback, CancelValidException
    from mnist_small.learner import mnist_learner
    from mnist_small.loader import mnist_dls
    learn = mnist_learner(3, mnist_dls(images=few(args.data), bs=BS), compile='kernels')
    class NoValidation(Callback):
        def before_validate(self):
            raise CancelValidException
    def epoch():
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(1, cbs=NoValidation())
    epoch()
    rounds = [profiled(epoch) for _ in range(args.rounds)]
    ms = {k:statistics.median(1000*o[k] for o in rounds)/len(learn.dls.train) for k in (*KINDS, OTHER, PYTHON)}
    print(f'\n{"spent on":<44} ms a step   share')
    for k,v in sorted(ms.items(), key=lambda o: -o[1]):
        print(f'{k:<44} {v:9.2f} {v/sum(ms.values()):7.0%}')
    report(args, milliseconds=ms)


if __name__ == '__main__':
    main()
