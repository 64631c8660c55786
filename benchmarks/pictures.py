"""How well pictures are read that people take of digits: fifteen kinds, drawn from MNIST's digits.

For each kind, as many digits as asked for are drawn by lot from all images, and a picture is made of each: its pen,
paper, light, noise, margins and angle vary. Prints the share of each kind that each network reads right, in percent,
how many pictures were refused, and the milliseconds that one takes to prepare; and last the same digits in MNIST's own
form.
"""
import argparse
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from benchmarks.turns import report
from PIL import Image, ImageFilter
from scipy.ndimage import distance_transform_edt


def thinned(mask:np.ndarray) -> np.ndarray:
    "A mask's skeleton, by the method of Zhang and Suen."
    m = np.pad(mask, 1).astype(np.uint8)
    changed = True
    while changed:
        changed = False
        for step in (0, 1):
            p = [np.roll(m, o, (0,1)) for o in ((1,0),(1,-1),(0,-1),(-1,-1),(-1,0),(-1,1),(0,1),(1,1))]
            count = sum(p)
            turns = sum((a == 0)&(b == 1) for a,b in zip(p, p[1:]+p[:1], strict=True))
            n,e,s,w = p[0],p[2],p[4],p[6]
            first,second = (n*e*s, e*s*w) if step == 0 else (n*e*w, n*s*w)
            gone = (m == 1)&(count >= 2)&(count <= 6)&(turns == 1)&(first == 0)&(second == 0)
            m[gone] = 0
            changed |= bool(gone.any())
    return m[1:-1,1:-1] > 0


def drawn(digit:np.ndarray, height:int, pen:float|None=None, angle:float=0) -> np.ndarray: # (h,w) 0 to 1
    "A digit cut out, `height` pixels high before it is turned, as it is or by a pen of a share of its height."
    rows,columns = [np.flatnonzero(digit.any(i)) for i in (1, 0)]
    cut = np.pad(digit[rows[0]:rows[-1]+1,columns[0]:columns[-1]+1], 6)
    scale = max(96, 2*height if pen is None else 96)/(len(cut)-12)
    size = [round(o*scale) for o in cut.shape[::-1]]
    big = Image.fromarray(cut).resize(size, Image.Resampling.BICUBIC).rotate(angle, Image.Resampling.BICUBIC)
    ink = np.asarray(big)/255
    tall = scale*(len(cut)-12)
    if pen is not None:
        far = distance_transform_edt(~thinned(ink > .5))
        ink = (pen*tall/2-far+.5*tall/height)*height/tall
    else:
        ink = (ink-.5)*4+.5
    size = [max(1, round(o*height/tall)) for o in ink.shape[::-1]]
    ink = Image.fromarray(ink.clip(0, 1).astype(np.float32)).resize(size, Image.Resampling.BOX)
    ink = np.asarray(ink)
    rows,columns = [np.flatnonzero((ink > .1).any(i)) for i in (1, 0)]
    return ink[rows[0]:rows[-1]+1,columns[0]:columns[-1]+1] if len(rows) else ink


def on_page(ink:np.ndarray, rng, margin:tuple, size:tuple|None=None) -> np.ndarray:
    "Ink on a page: of a `size` (h,w), or with margins from the least to the most of the digit's height on each side."
    h,w = ink.shape
    if size is None:
        top,bottom,left,right = (rng.uniform(*margin, 4)*h).astype(int)
        return np.pad(ink, ((top,bottom), (left,right)))
    page = np.zeros((max(size[0], h), max(size[1], w)), ink.dtype)
    y,x = [int(rng.integers(0, a-b+1)) for a,b in zip(page.shape, ink.shape, strict=True)]
    page[y:y+h,x:x+w] = ink
    return page


def light(shape:tuple, rng, most:float=.5) -> np.ndarray:
    "Light that falls by a share of up to `most` across the page, in any direction."
    y,x = [np.linspace(-1, 1, o) for o in shape]
    a = rng.uniform(0, 2*np.pi)
    slope = np.cos(a)*x+np.sin(a)*y[:,None]
    return 1-most*rng.uniform(.3, 1)*(slope-slope.min())/max(np.ptp(slope), 1e-6)


def grey(page, paper:float, pen:float, rng=None, noise:float=0, shade=1) -> np.ndarray: # uint8
    "Grey levels of ink, from those of paper and pen where the light is full."
    out = (paper+(pen-paper)*page)*shade
    if noise:
        out = out+rng.normal(0, noise, out.shape)
    return out.clip(0, 255).round().astype(np.uint8)


def rule(page:np.ndarray, rng, parts:int=6, dark:float=.5) -> np.ndarray:
    "Ink with rules across the page, `dark` times as strong as the pen."
    h,lines = len(page),np.zeros((len(page),1))
    thick,start = max(1, round(h*rng.uniform(.004, .012))),int(rng.integers(0, max(1, h//parts)))
    for y in range(start, h, max(2, h//parts)):
        lines[y:y+thick] = dark
    return np.maximum(page, lines)


def speckle(page:np.ndarray, rng, share:float) -> np.ndarray:
    "Ink with specks of up to 3 % of the page's height, and single dark pixels: a share of the page."
    out = np.maximum(page, rng.random(page.shape) < share)
    y,x = np.ogrid[:page.shape[0],:page.shape[1]]
    for _ in range(int(rng.integers(3, 12))):
        cy,cx,r = rng.uniform(0, page.shape[0]),rng.uniform(0, page.shape[1]),rng.uniform(.3, .015*page.shape[0]+.4)
        out[(y-cy)**2+(x-cx)**2 <= r*r] = 1
    return out


def png(o, **kwargs) -> bytes:
    "A picture's file."
    file = BytesIO()
    (o if isinstance(o, Image.Image) else Image.fromarray(o)).save(file, 'PNG', **kwargs)
    return file.getvalue()


def black_on_white(d, rng):
    return grey(on_page(drawn(d, int(rng.integers(24, 200)), angle=rng.uniform(-10, 10)), rng, (0, 2)), 255, 0)

def white_on_black(d, rng):
    return 255-black_on_white(d, rng)

def grey_photo(d, rng):
    page = on_page(drawn(d, int(rng.integers(60, 200)), rng.uniform(.06, .16), rng.uniform(-10, 10)), rng, (.2, 2))
    paper = rng.uniform(150, 230)
    return grey(page, paper, paper-rng.uniform(.15, .6)*255, rng, 8, light(page.shape, rng))

def pencil(d, rng):
    ink = drawn(d, int(rng.integers(60, 160)), rng.uniform(.03, .08), rng.uniform(-10, 10))
    page = on_page(ink*rng.uniform(.6, 1, ink.shape), rng, (.1, 1.5))
    return grey(page, 235, 235-rng.uniform(.25, .5)*255, rng, 3, light(page.shape, rng, .3))

def ball_pen_on_yellow(d, rng):
    ink = drawn(d, int(rng.integers(40, 160)), rng.uniform(.04, .1), rng.uniform(-10, 10))
    page,shade = on_page(ink, rng, (.1, 1.5))[...,None],rng.uniform(.7, 1)
    colour = (np.array([250, 232, 120])*(1-page)+np.array([30, 50, 150])*page)*shade
    return png((colour+rng.normal(0, 3, colour.shape)).clip(0, 255).astype(np.uint8))

def transparent_png(d, rng):
    page = on_page(drawn(d, int(rng.integers(24, 160)), angle=rng.uniform(-10, 10)), rng, (0, 1))
    pen = rng.choice([0, 255]) if rng.random() < .5 else rng.integers(0, 100)
    rgba = np.full((*page.shape, 4), pen, np.uint8)
    rgba[...,3] = (page*255).round()
    return png(rgba)

def blurred(d, rng):
    height = int(rng.integers(40, 160))
    page = grey(on_page(drawn(d, height, angle=rng.uniform(-10, 10)), rng, (.2, 1.5)), 240, 20)
    soft = Image.fromarray(page).filter(ImageFilter.GaussianBlur(height*rng.uniform(.02, .07)))
    return grey(np.asarray(soft)/255, 0, 255, rng, 3)

def thin(d, rng):
    return grey(on_page(drawn(d, int(rng.integers(80, 300)), rng.uniform(.03, .06), rng.uniform(-10, 10)), rng, (0, 1)),
                250, 10, rng, 2)

def thick(d, rng):
    return grey(on_page(drawn(d, int(rng.integers(40, 200)), rng.uniform(.17, .25), rng.uniform(-10, 10)), rng, (0, 1)),
                250, 10, rng, 2)

def ruled_paper(d, rng):
    ink = drawn(d, int(rng.integers(80, 200)), rng.uniform(.06, .14), rng.uniform(-10, 10))
    page = rule(on_page(ink, rng, (.1, 1)), rng)
    return grey(page, 240, rng.uniform(20, 100), rng, 4, light(page.shape, rng, .3))

def specks(d, rng):
    ink = drawn(d, int(rng.integers(60, 200)), rng.uniform(.07, .16), rng.uniform(-10, 10))
    return grey(speckle(on_page(ink, rng, (.1, 1)), rng, rng.uniform(.001, .01)), 240, 20, rng, 4)

def small_black_on_white(d, rng):
    return 255-d

def large_page(d, rng):
    ink = drawn(d, int(1200/(1+2*10**rng.uniform(-1, 1))), rng.uniform(.06, .16), rng.uniform(-10, 10))
    page = on_page(ink, rng, (0, 0), (1200,1600))
    return grey(page, 220, 220-rng.uniform(.3, .8)*255, rng, 8, light(page.shape, rng))

def sixteen_bits(d, rng):
    page = on_page(drawn(d, int(rng.integers(40, 160)), angle=rng.uniform(-10, 10)), rng, (.1, 1.5))
    paper,pen = rng.uniform(30000, 65000),rng.uniform(1000, 15000)
    return Image.fromarray(((paper+(pen-paper)*page)+rng.normal(0, 600, page.shape)).clip(0, 65535).astype(np.uint16))

def tall(d, rng):
    ink = drawn(d, int(rng.integers(40, 120)), rng.uniform(.06, .16), rng.uniform(-10, 10))
    page = on_page(ink, rng, (0, 0), (int(len(ink)*rng.uniform(3, 6)), int(ink.shape[1]*rng.uniform(1.05, 1.6))))
    return grey(page, 230, rng.uniform(20, 120), rng, 5, light(page.shape, rng))


KINDS = (black_on_white, white_on_black, grey_photo, pencil, ball_pen_on_yellow, transparent_png, blurred, thin, thick,
         ruled_paper, specks, small_black_on_white, large_page, sixteen_bits, tall)


def draw(kind:Callable, digits:np.ndarray, seed:int=0): # A generator of pictures
    "Pictures of one kind, each with a generator of its own, so that fewer digits give the same pictures."
    for i,o in enumerate(digits):
        yield kind(o, np.random.default_rng([seed, i, *kind.__name__.encode()]))


def network(name:str) -> Callable: # (n,28,28) uint8 -> (n,10) logits
    "The packaged network `name`, or that of the run in the folder `name`, in plain torch, as it was trained."
    import torch
    from mnist_small.folding import network_input
    from mnist_small.models import load_network
    from mnist_small.packaged import packaged_name, pretrained_record
    if packaged_name(name) is None:
        from mnist_small.runs import Run
        run = Run(name)
        model,power = run.model(),run.recipe.moment_norm
    else:
        model,power = load_network(name),pretrained_record(name)['recipe']['moment_norm']
    @torch.no_grad()
    def logits(images):
        return model(network_input(torch.from_numpy(images), power)).double().numpy()
    return logits


def held_out(images) -> tuple: # (n,28,28) and (n,)
    "The images that are held out of the training images, and their labels."
    from mnist_small.loader import mnist_dls
    held = mnist_dls(images=images, valid='holdout').valid.dataset
    return held.x.numpy(),held.y.numpy()


def chosen(kind:Callable, n:int, most:int, seed:int=0) -> np.ndarray: # Of `n` images, the indices of `most`
    "The digits that pictures of a kind are made of."
    return np.random.default_rng([seed, *kind.__name__.encode()]).permutation(n)[:most]


def measure(kinds, digits, labels, networks:dict, prepare, most:int, seed:int=0) -> dict:
    "For each kind what each network reads right, how many were refused, and the seconds that a picture takes."
    from mnist_small.files import InputError
    out = {}
    for kind in kinds:
        which = chosen(kind, len(digits), most, seed)
        seen,took,refused,y = [],0,[],labels[which]
        for i,o in enumerate(draw(kind, digits[which], seed)):
            start = time.perf_counter()
            try:
                seen.append(prepare(o))
            except InputError:
                seen.append(np.zeros((28,28), np.uint8))
                refused.append(i)
            took += time.perf_counter()-start
        right = {k:read(np.stack(seen)).argmax(1) == y for k,read in networks.items()}
        for o in right.values():
            o[refused] = False
        shares = {k:float(o.mean()) for k,o in right.items()}
        plain = {k:float((read(digits[which]).argmax(1) == y).mean()) for k,read in networks.items()}
        out[kind.__name__] = dict(right=shares, refused=which[refused].tolist(), seconds=took/len(y), plain=plain,
                                  wrong={k:which[~o].tolist() for k,o in right.items()})
        print(f'{kind.__name__.replace("_", " "):22}', *[f'{100*o:10.2f}' for o in shares.values()],
              f'{len(refused):8} {1000*took/len(y):6.1f}', flush=True)
    return out


def draw_sheet(file:Path, digits, prepare, seed:int=0):
    "One picture of each kind, above what is made of it."
    from matplotlib.figure import Figure
    from mnist_small.pictures import to_picture
    fig = Figure((10,7.5), layout='constrained')
    axes = fig.subplots(6, 5, gridspec_kw=dict(height_ratios=[3,2]*3))
    for i,kind in enumerate(KINDS):
        picture = next(draw(kind, digits[i:], seed))
        above,below = axes[i//5*2,i%5],axes[i//5*2+1,i%5]
        shown = to_picture(picture)
        if shown.has_transparency_data: # on the chequers that stand for nothing
            y,x = np.ogrid[:shown.height,:shown.width]
            chequers = Image.fromarray(np.where((y//8+x//8)%2 > 0, 255, 200).astype(np.uint8)).convert('RGBA')
            shown = Image.alpha_composite(chequers, shown.convert('RGBA'))
        above.imshow(np.asarray(shown), cmap='gray', **(dict(vmin=0, vmax=255) if shown.mode == 'L' else {}))
        above.set_title(kind.__name__.replace('_', ' '), fontsize=9)
        below.imshow(prepare(picture), cmap='gray')
    for o in axes.flat:
        o.set(xticks=[], yticks=[])
    fig.savefig(file, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('networks', nargs='*', help='packaged weights or run folders (default: reader)')
    parser.add_argument('--data', default='auto', help='auto, mnist, digits, or a folder with the four MNIST files')
    parser.add_argument('--digits', type=int, default=1000, help='pictures of each kind (default: %(default)s)')
    parser.add_argument('--split', choices=('test', 'holdout'), default='test',
                        help='to report, or to choose by: those held out of the training images (default: test)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--json', type=Path, help='also write the results to this file')
    parser.add_argument('--draw', type=Path, metavar='PNG', help='only draw one of each kind, with what is made of it')
    args = parser.parse_args()
    from mnist_small.images import load_images
    from mnist_small.read import prepare_digit
    images = load_images(args.data)
    x,y = held_out(images) if args.split == 'holdout' else (images.x_test.numpy(),images.y_test.numpy())
    if args.draw:
        return draw_sheet(args.draw, x, prepare_digit, args.seed)
    networks = {Path(o).name:network(o) for o in args.networks or ['reader']}
    print(f'{"":22}', *[o.rjust(10) for o in networks], ' refused     ms')
    kinds = measure(KINDS, x, y, networks, prepare_digit, args.digits, args.seed)
    shares = np.array([list(o['right'].values()) for o in kinds.values()])*100
    plain = np.array([list(o['plain'].values()) for o in kinds.values()])*100
    mean,least,plain = [dict(zip(networks, o.tolist(), strict=True))
                        for o in (shares.mean(0), shares.min(0), plain.mean(0))]
    for what,o in (('mean', mean), ('least', least), ('in MNIST\'s form', plain)):
        print(f'{what:22}', *[f'{v:10.2f}' for v in o.values()])
    report(args, data=images.source, split=args.split, digits=args.digits, seed=args.seed, mean=mean, least=least,
           plain=plain, kinds=kinds)


if __name__ == '__main__':
    main()
