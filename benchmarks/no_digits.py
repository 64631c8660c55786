"""How often letters and scribbles are taken for digits.

Letters are drawn in the fonts that matplotlib ships, scribbles are curves through random points; both black on white,
turned by up to 10 degrees. Each is prepared as any picture is. Prints, for each kind, the share that was refused (no
digit, or several), and the share that some digit was read in with the probability that is called sure.

    python -m benchmarks.no_digits --model reader --draw OUT.png
"""
import argparse
import string
from pathlib import Path

import numpy as np
from benchmarks.calibration import probabilities, told_temperature
from benchmarks.pictures import network
from benchmarks.turns import report
from mnist_small.answer import SURE_FROM
from PIL import Image, ImageDraw, ImageFont

LIKE_DIGITS = 'BDGIJOQSTZabegijloqstyz'
"Letters that a digit may be written as: 8, 0, 6, 1, 5, 7, 2, 9, ..."
FONTS = ('DejaVuSans', 'DejaVuSans-Bold', 'DejaVuSans-Oblique', 'DejaVuSansMono', 'DejaVuSerif', 'DejaVuSerif-Italic',
         'STIXGeneral', 'STIXGeneralItalic')


def fonts() -> list: # Paths
    "The fonts that letters are drawn in."
    from matplotlib import get_data_path
    return [Path(get_data_path())/'fonts'/'ttf'/f'{o}.ttf' for o in FONTS]


def letter(text:str, font:Path, rng) -> Image.Image:
    "A letter on a page."
    im = Image.new('L', (200,200), 255)
    size = int(rng.integers(70, 130))
    ImageDraw.Draw(im).text((100,100), text, 0, ImageFont.truetype(str(font), size), anchor='mm')
    return im.rotate(rng.uniform(-10, 10), Image.Resampling.BICUBIC, fillcolor=255)


def scribble(rng) -> Image.Image:
    "A curve through four to nine random points."
    from scipy.interpolate import make_interp_spline
    n = int(rng.integers(4, 10))
    curve = make_interp_spline(np.arange(n), rng.uniform(30, 170, (n,2)), k=3)(np.linspace(0, n-1, 60*n))
    im = Image.new('L', (800,800), 255)
    ImageDraw.Draw(im).line([tuple(4*o) for o in curve], 0, 4*int(rng.integers(6, 16)), 'curve')
    return im.reduce(4)


def kinds(n:int, seed:int) -> dict: # Lists of pictures by name
    "What is drawn: every letter in every font, and `n` scribbles."
    rng = np.random.default_rng(seed)
    letters = {o:[letter(o, f, rng) for f in fonts()] for o in string.ascii_letters}
    return {'letters that look like no digit':[p for k,v in letters.items() if k not in LIKE_DIGITS for p in v],
            'letters that a digit is written as':[p for k,v in letters.items() if k in LIKE_DIGITS for p in v],
            'scribbles':[scribble(rng) for _ in range(n)]}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--model', default='reader', help='packaged weights, or a run (default: %(default)s)')
    p.add_argument('--temperature', type=float, help='this, not that of the packaged weights')
    p.add_argument('--sure', type=float, default=SURE_FROM, help='how probable that is (default: %(default)s)')
    p.add_argument('--scribbles', type=int, default=1000, help='how many (default: %(default)s)')
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--draw', type=Path, metavar='PNG', help='also draw some of each kind into this file')
    p.add_argument('--json', type=Path, help='also write everything measured to this file')
    args = p.parse_args()
    from mnist_small.files import InputError
    from mnist_small.read import prepare_digit
    read,found,drawn = network(args.model),{},kinds(args.scribbles, args.seed)
    t = told_temperature(args.model) if args.temperature is None else args.temperature
    for name,pictures in drawn.items():
        seen = []
        for o in pictures:
            try:
                seen.append(prepare_digit(o))
            except InputError:
                pass
        top = probabilities(read(np.stack(seen)), t).max(1)
        sure = float((top >= args.sure).sum()/len(pictures))
        found[name] = dict(pictures=len(pictures), refused=1-len(seen)/len(pictures), sure=sure)
        print(f'{name}: {len(pictures):,} pictures, {100*found[name]["refused"]:.1f} % refused, '
              f'{100*sure:.1f} % taken for a digit with {args.sure} or more', flush=True)
    if args.draw:
        sheet = Image.new('L', (12*200, len(drawn)*200), 255)
        for i,pictures in enumerate(drawn.values()):
            for j,o in enumerate(pictures[::max(1, len(pictures)//12)][:12]):
                sheet.paste(o, (j*200,i*200))
        sheet.save(args.draw)
    report(args, model=args.model, temperature=t, sure=args.sure, seed=args.seed, kinds=found)


if __name__ == '__main__':
    main()
