"""Loops without fastai on resident tensors, and the floor: what is left when everything else is taken away.

`bare` and `bare_fast` use torch's own means and the original's augmentation; neither evens out slant and size.
`bare_kernels` does what the learner does with recipe 3, with the library's own kernels and maps, so that the library's
time over its time is what fastai's callbacks, its log and its loader take.
"""

from benchmarks.turns import BS, LR, MOMENTUM, ROTATE, SCALE, SHEAR, SHIFT, STATS, seconds_of

BLOCK = BS*(1024//BS)
"Images that are transformed at once, as by the library's loader."


def augmented(x, warp):
    "The images `x`, (n,1,28,28) floats, changed by the original's amounts; `warp(x, matrix)` looks the pixels up."
    import torch
    from mnist_small.affine import affine_matrix
    r = torch.rand(5, len(x))*2-1
    return warp(x, affine_matrix(ROTATE*r[0], SHIFT*r[1], SHIFT*r[2], 1+SCALE*r[3], SHEAR*r[4]))


def bare(images, folder):
    "A bare PyTorch loop on resident tensors, eager, each batch changed by itself; the original's augmentation."
    import torch
    import torch.nn.functional as F
    from mnist_small.models import model3
    model = model3()
    opt = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, nesterov=True)
    xt,yt,xv,yv = images.x_train,images.y_train,images.x_test,images.y_test
    def normalised(x):
        return (x-STATS[0])/STATS[1]
    def warp(x, m):
        return F.grid_sample(x, F.affine_grid(m, x.shape, align_corners=False), align_corners=False)

    def epoch(batches=None):
        model.train()
        for i,idx in enumerate(torch.randperm(len(xt)).split(BS)):
            if i == batches:
                return
            if len(idx) < BS:
                break # the library drops the last, smaller batch too
            x = augmented(xt[idx][:,None].float()/255, warp)
            F.cross_entropy(model(normalised(x)), yt[idx]).backward()
            opt.step()
            opt.zero_grad()
        model.eval()
        with torch.no_grad():
            out = torch.cat([model(normalised(x[:,None].float()/255)) for x in xv.split(1000)])
        return (out.argmax(1) == yv).float().mean().item()
    return epoch


def bare_fast(images, folder):
    "The fastest such loop with torch's own means: images changed 1,024 at a time, torch.compile, a fused optimiser."
    import torch
    import torch.nn.functional as F
    from mnist_small.affine import warp_images
    from mnist_small.models import model3
    model = model3().to(memory_format=torch.channels_last)
    compiled = torch.compile(model, dynamic=False)
    opt = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, nesterov=True, fused=True)
    xt,yt,xv,yv = images.x_train,images.y_train,images.x_test,images.y_test
    def normalised(x):
        return x.mul_(1/255/STATS[1]).sub_(STATS[0]/STATS[1]) # in place: `x` is always new

    def epoch(batches=None):
        model.train()
        i = 0
        for idx in torch.randperm(len(xt))[:len(xt)//BS*BS].split(BLOCK):
            block = normalised(augmented(xt.index_select(0, idx)[:,None].float(), warp_images))
            for x,y in zip(block.split(BS), yt.index_select(0, idx).split(BS), strict=True):
                if i == batches:
                    return
                i += 1
                F.cross_entropy(compiled(x), y).backward()
                opt.step()
                opt.zero_grad()
        model.eval()
        with torch.no_grad():
            out = torch.cat([model(normalised(x[:,None].float())) for x in xv.split(1000)])
        return (out.argmax(1) == yv).float().mean().item()
    return epoch


def bare_kernels(images, folder):
    "Recipe 3 as the learner trains it, with the library's kernels and maps, in a plain loop."
    from mnist_small.kernels import Kernels
    from mnist_small.recipes import RECIPES
    from mnist_small.warping import Warp
    return recipe_loop(images, lambda model: Kernels(model, (BS,1,28,28)), warp=Warp(RECIPES[3].moment_norm, *STATS))


def recipe_loop(images, compiled, device='cpu', warp=None):
    "A plain loop that does what the learner does with recipe 3; `compiled(model)` gives the call of the network."
    import torch
    from mnist_small.learner import recipe_transform
    from mnist_small.models import model3
    from mnist_small.recipes import RECIPES
    recipe,model = RECIPES[3],model3().to(device)
    xt,yt,xv,yv = [o.to(device) for o in (images.x_train, images.y_train, images.x_test, images.y_test)]
    opt = torch.optim.SGD(model.parameters(), lr=recipe.lr, momentum=.9, nesterov=True, weight_decay=recipe.wd,
                          fused=True)
    call,maps,n = compiled(model),recipe_transform(recipe),len(xt)//BS
    live = [o for o in model.state_dict().values() if o.is_floating_point()]
    def batches(x, y, order, training):
        for i in order.split(BLOCK):
            parts = [o.split(BS if training else 1000) for o in block_of(x, y, i, maps, training, warp)]
            yield from zip(*parts, strict=True)

    def epoch(most=None):
        order = torch.randperm(len(xt), device=device)[:n*BS]
        done = trained(batches(xt, yt, order, True), n, most, model, call, opt, recipe)
        if most is not None:
            return None
        raw = [o.clone() for o in live]
        with torch.no_grad():
            torch._foreach_copy_(live, done['average'])
            accuracy = validated(batches(xv, yv, torch.arange(len(xv), device=device), False), model, call)
            torch._foreach_copy_(live, raw)
        return accuracy
    return epoch


def block_of(x, y, i, maps, training, warp=None):
    "The images of `x` at `i`, evened out, changed and normalised, each pixel looked up once; and their labels."
    from mnist_small.affine import warp_images
    block,labels = x.index_select(0, i)[:,None],y.index_select(0, i)
    if warp:
        return warp(block, maps.random_matrix(len(i)) if training else None), labels
    block = block.float().div_(255)
    return warp_images(block, maps.matrix(block, training)).sub_(STATS[0]).div_(STATS[1]), labels


def trained(batches, n, most, model, compiled, opt, recipe) -> dict:
    "One epoch of `n` steps, or its first `most`: schedule, averaged weights, smoothed loss, losses and accuracy."
    import torch
    import torch.nn.functional as F
    from mnist_small.loop import one_cycle
    lr = one_cycle(recipe.pct_start, recipe.lr/recipe.div, recipe.lr, recipe.lr/recipe.div_final)
    momentum,group = one_cycle(recipe.pct_start, *recipe.moms),opt.param_groups[0]
    live = [o for o in model.state_dict().values() if o.is_floating_point()]
    average,smooth,correct,losses = None,torch.zeros((), device=live[0].device),0,[]
    model.train()
    for i,(x,y) in enumerate(batches):
        if i == most:
            break
        group['lr'],group['momentum'] = lr(i/n),momentum(i/n)
        out = compiled(x)
        loss = F.cross_entropy(out, y, label_smoothing=recipe.label_smoothing)
        loss.backward()
        opt.step()
        opt.zero_grad()
        if average is None:
            average = [o.clone() for o in live]
        else:
            torch._foreach_lerp_(average, live, 1-min(recipe.ema_decay, (1+i)/(10+i)))
        smooth = torch.lerp(smooth, loss.detach(), .02/(1-.98**(i+1)))
        losses.append(smooth)
        correct += (out.detach().argmax(1) == y).sum()
    return dict(average=average, losses=losses, accuracy=float(correct)/max(1, len(losses)*BS))


def validated(batches, model, compiled) -> float:
    "The accuracy on `batches`; the loss is computed too, as by the learner."
    import torch
    import torch.nn.functional as F
    correct,loss,count = 0,0.,0
    model.eval()
    with torch.no_grad():
        for x,y in batches:
            out = compiled(x)
            loss += F.cross_entropy(out, y)*len(y)
            correct += (out.argmax(1) == y).sum()
            count += len(y)
    return float(correct)/count


def floor(images) -> float:
    "Seconds an epoch takes if all its floating-point operations, validation's too, ran at a matrix product's rate."
    return epoch_flops(images)/product_rate()


def product_rate(device='cpu', n:int=2048) -> float:
    "Floating-point operations a second in a product of two matrices of n by n, the median of 50."
    import statistics
    import torch
    a,on_card = torch.randn(n, n, device=device),torch.device(device).type == 'cuda'
    def product():
        a@a
        if on_card:
            torch.cuda.synchronize()
    product()
    return 2*n**3/statistics.median(seconds_of(product) for _ in range(50))


def epoch_flops(images) -> float:
    "Floating-point operations of the network in an epoch of training and validation."
    import torch
    import torch.nn.functional as F
    from torch.utils.flop_counter import FlopCounterMode
    from mnist_small.models import model3
    model,x,y = model3(),torch.randn(BS, 1, 28, 28),torch.zeros(BS, dtype=torch.long)
    with FlopCounterMode(display=False) as forward:
        loss = F.cross_entropy(model(x), y)
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    train,valid = len(images.x_train)//BS*BS,len(images.x_test)
    return (forward.get_total_flops()*(train+valid) + backward.get_total_flops()*train)/BS
