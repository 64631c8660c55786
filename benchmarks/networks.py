"""What a training step of each network takes, by the kernels and by torch, beside what there is to compute.

A step is the passes of 128 images forwards and backwards, without images, loss and optimiser. Each network and way has
a process of its own and one thread; they take turns. Multiply-adds of a step are counted as three times those of the
convolutions forwards, as the backward pass has as many for the images and for the weights.
"""
import statistics

from benchmarks.turns import BS, in_turn, parser, report

STEPS = 50 # in a round


def multiply_adds(net) -> int:
    "Of the convolutions for one image, forwards."
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.eval()(torch.zeros(1, 1, 28, 28))
    return counter.get_total_flops()//2


def steps(name:str, way:str):
    "A function that takes `STEPS` steps."
    import torch
    from mnist_small.kernels import Kernels
    from mnist_small.models import MODELS
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net,x = MODELS[name](),torch.randn(BS, 1, 28, 28)
    f = Kernels(net, x.shape) if way == 'kernels' else net
    def run():
        for _ in range(STEPS):
            f(x).square().sum().backward()
    return run


def main():
    args = parser(__doc__, 'networks', 15, unit=f'{STEPS} steps of each').parse_args()
    from mnist_small.models import MODELS, num_params
    seconds = in_turn({(o, way):(steps, o, way) for o in MODELS for way in ('kernels', 'torch')}, args.rounds)
    found = {}
    for name,make in MODELS.items():
        net = make()
        found[name] = dict(parameters=num_params(net), multiply_adds=multiply_adds(net),
                           **{way:[1000*s/STEPS for s in seconds[name,way]] for way in ('kernels', 'torch')})
    print('\nnetwork  parameters multiply-adds kernels ms  torch ms 1e9 a second')
    for name,o in found.items():
        fast,slow = (statistics.median(o[way]) for way in ('kernels', 'torch'))
        rate = 3*BS*o['multiply_adds']/fast/1e6
        print(f'{name:<8} {o["parameters"]:10,} {o["multiply_adds"]:13,} {fast:10.2f} {slow:9.2f} {rate:12.1f}')
    report(args, networks=found)


if __name__ == '__main__':
    main()
