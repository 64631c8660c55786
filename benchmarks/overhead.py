"""What fastai and this library add to a bare PyTorch loop: whole epochs of iteration 3, in turn, in one process.

Both train the same network on the same images in batches of the same size, with the same augmentation, optimiser,
schedule and averaged weights, and validate on the test images. The loop is written as plainly as PyTorch allows.
"""
import argparse, json, platform, statistics, time, warnings

warnings.simplefilter('ignore')
import torch, torch.nn.functional as F
from fastai.callback.schedule import combined_cos
from torch.optim.swa_utils import AveragedModel

from benchmarks.contenders import images_from
from mnist_small.augment import DigitAffine
from mnist_small.callbacks import AveragedWeights
from mnist_small.data import MNIST_STATS, InputError, mnist_dls
from mnist_small.learner import RECIPES, mnist_learner
from mnist_small.models import model3


class Bare:
    "The bare loop, with its state."
    def __init__(self, images, recipe):
        self.images,self.recipe,self.model = images,recipe,model3()
        self.opt = torch.optim.SGD(self.model.parameters(), lr=recipe.lr, momentum=.9, nesterov=True,
                                   weight_decay=recipe.wd, fused=True)
        self.affine = DigitAffine(recipe.max_rotate, recipe.max_shift, recipe.max_scale, recipe.max_shear)
        ema = AveragedWeights(recipe.ema_decay).update
        self.average = AveragedModel(self.model, multi_avg_fn=ema, use_buffers=True)
        r = recipe
        self.lr = combined_cos(r.pct_start, r.lr/r.div, r.lr, r.lr/r.div_final)
        self.mom = combined_cos(r.pct_start, *r.moms)

    def normalise(self, x):
        "Images in 0 to 1, less MNIST's mean, over its standard deviation."
        mean,std = MNIST_STATS
        return (x-mean)/std

    def epoch(self):
        "Train one epoch and validate; the accuracy."
        r,im,n = self.recipe,self.images,len(self.images.x_train)//self.recipe.bs
        correct,order = 0,torch.randperm(len(im.x_train))
        self.model.train()
        for i in range(n):
            for g in self.opt.param_groups: g['lr'],g['momentum'] = float(self.lr(i/n)),float(self.mom(i/n))
            idx = order[i*r.bs:(i+1)*r.bs]
            x,y = im.x_train[idx][:,None].float()/255,im.y_train[idx]
            grid = F.affine_grid(self.affine.matrix(len(x)), x.shape, align_corners=False)
            out = self.model(self.normalise(F.grid_sample(x, grid, align_corners=False)))
            loss = F.cross_entropy(out, y)
            loss.backward()
            self.opt.step()
            self.opt.zero_grad()
            self.average.update_parameters(self.model)
            correct += (out.argmax(1) == y).sum().item()
        self.average.eval()
        with torch.no_grad():
            out = torch.cat([self.average(self.normalise(x[:,None].float()/255)) for x in im.x_test.split(1000)])
        return (out.argmax(1) == im.y_test).float().mean().item()


def main():
    p = argparse.ArgumentParser(prog='python -m benchmarks.overhead', description=__doc__.splitlines()[0])
    p.add_argument('--rounds', type=int, default=5, help='epochs of each, in turn (default: 5)')
    p.add_argument('--data', default='auto', help='auto, mnist, digits, or a folder with the four MNIST files')
    args = p.parse_args()
    try: images = images_from(args.data)
    except InputError as e: p.exit(1, f'{p.prog}: {e}\n')
    recipe = RECIPES[3]
    bare,learn = Bare(images, recipe),mnist_learner(3, mnist_dls(images=images, bs=recipe.bs))

    def library():
        with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1)
        return learn.training_log.history[-1]['accuracy']

    print(f'{images}\ntorch {torch.__version__}, {torch.get_num_threads()} threads, {platform.platform()}', flush=True)
    ways,seconds = dict(bare=bare.epoch, library=library),dict(bare=[], library=[])
    for i in range(args.rounds+1):
        for name,f in ways.items():
            start = time.perf_counter()
            accuracy = f()
            took = time.perf_counter()-start
            label = f'round {i}' if i else 'warm-up'
            print(f'{label:>8}  {name:<8} {took:7.2f} s  accuracy {100*accuracy:.2f} %', flush=True)
            if i: seconds[name].append(took)
    ratios = [a/b for a,b in zip(seconds['library'], seconds['bare'])]
    print(f'library / bare loop: median {statistics.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}')
    print(json.dumps(dict(seconds=seconds, ratios=ratios)))


if __name__ == '__main__': main()
