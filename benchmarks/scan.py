"""How long `mnist_small_predict` takes for a scan of 10,000×10,000 pixels, and how much memory, from start to end.

A digit of 600 or of 5,000 pixels is drawn on a page with noise, and the page is kept in several kinds of files. Each is
read in a process of its own, in turn, for several rounds. Beside them stands what it takes to start: the command with
a small picture, Python alone, and with what it imports or has no need to. Memory is the largest resident set of a
process, which Linux also takes from the one that starts it: so this one imports little, and has the pages drawn by
another.
"""
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.sprint import command
from benchmarks.turns import parser, report

SIDE,HEIGHTS = 10_000,(600,5000) # pixels of a page, and of the digit
KINDS = {'grey PNG':('grey', 'png', dict(compress_level=1)), '1-bit PNG':('bit', 'png', {}),
         '1-bit TIFF':('bit', 'tif', dict(compression='group4')), 'grey JPEG':('grey', 'jpg', dict(quality=85)),
         'colour JPEG':('colour', 'jpg', dict(quality=85)),
         'progressive colour JPEG':('colour', 'jpg', dict(quality=85, progressive=True)),
         '16-bit grey PNG':('deep', 'png', dict(compress_level=1)),
         'colour PNG':('colour', 'png', dict(compress_level=1)),
         'colour PNG with alpha':('alpha', 'png', dict(compress_level=1)),
         'colour TIFF':('colour', 'tif', {}), 'colour TIFF, LZW':('colour', 'tif', dict(compression='tiff_lzw'))}
"How a page is drawn, the ending of its file, and how that is written."
STARTS = 'pass', 'import mnist_small.answer', 'import onnxruntime', 'import torch'
"What `python -c` is given."
MEASURED = 'seconds', 'cpu_seconds', 'megabytes'


def drawn(digit, high:int) -> dict: # Pictures, by the first word of `KINDS`
    "A page with the digit on it."
    import numpy as np
    from PIL import Image
    ink = np.asarray(Image.fromarray(digit).resize((high*28//20,)*2, Image.Resampling.BICUBIC)) # the digit is 20 of 28
    page,rng = np.full((SIDE,SIDE), 235, np.uint8),np.random.default_rng(0)
    page[1000:1000+len(ink),2000:2000+len(ink)] -= (ink*(200/255)).astype(np.uint8)
    for o in np.split(page, 20):
        o[:] = (o+rng.integers(-6, 7, o.shape, np.int8)).clip(0, 255)
    grey = Image.fromarray(page)
    colour = Image.merge('RGB', [grey.point(lambda v, part=part: v*part) for part in (1, .97, .9)])
    return dict(grey=grey, bit=grey.point(lambda v: 255*(v > 128)).convert('1', dither=0), colour=colour,
                alpha=colour.convert('RGBA'), deep=Image.fromarray(page*np.uint16(257)))


def draw(folder:Path, data:str):
    "Draw all pages, and a small one, into `folder`, and the digit's label."
    import numpy as np
    from mnist_small.images import load_images
    from PIL import Image
    images = load_images(data)
    digit = images.x_test[0].numpy()
    (folder/'label').write_text(str(int(images.y_test[0])))
    Image.fromarray(255-np.pad(np.kron(digit, np.ones((4,4), np.uint8)), 30)).save(folder/'small.png')
    for high in HEIGHTS:
        pages = drawn(digit, high)
        for kind,(how,ending,options) in KINDS.items():
            pages[how].save(folder/f'{kind} {high}.{ending}', **options)


def run(args:list) -> tuple: # Seconds, those of the processor, megabytes, what it printed
    "A process from start to end."
    start = time.perf_counter()
    process = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
    said = process.stdout.read()
    _,code,used = os.wait4(process.pid, 0)
    seconds = time.perf_counter()-start
    if code:
        sys.exit(f'{" ".join(args)} failed')
    return seconds,used.ru_utime+used.ru_stime,used.ru_maxrss*(1 if sys.platform == 'darwin' else 1024)/1e6,said


def main():
    p = parser(__doc__, 'scan', 3, unit='processes of each kind')
    p.set_defaults(data='digits')
    args = p.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as tmp:
        drawing = multiprocessing.get_context('spawn').Process(target=draw, args=(Path(tmp), args.data))
        drawing.start()
        drawing.join()
        label,predict = (Path(tmp)/'label').read_text(),[sys.executable, command('mnist_small_predict')]
        files = {f'{kind}, digit of {high:,}':f'{tmp}/{kind} {high}.{ending}' for high in HEIGHTS
                 for kind,(_,ending,_) in KINDS.items()}
        todo = {**{f'python -c {o!r}':[sys.executable, '-c', o] for o in STARTS},
                'a small picture':[*predict, f'{tmp}/small.png'], **{k:[*predict, v] for k,v in files.items()}}
        load = os.getloadavg()[0] # what else the machine had to do
        for i in range(args.rounds):
            for name,o in todo.items():
                *numbers,said = run(o)
                if o[1] == predict[1] and said.split('\t')[1] != label:
                    sys.exit(f'{name} is read as {said}')
                found.setdefault(name, []).append(numbers)
            print(f'round {i+1} of {args.rounds}', flush=True)
    print(f'\nload before: {load:.1f}\n{"":40} seconds     CPU      MB')
    for name,o in found.items():
        seconds,cpu,megabytes = zip(*o, strict=True)
        print(f'{name:40} {statistics.median(seconds):7.2f} {statistics.median(cpu):7.2f} {max(megabytes):7.0f}')
    measured = {k:{name:[a[i] for a in o] for name,o in found.items()} for i,k in enumerate(MEASURED)}
    report(args, load=load, **measured)


if __name__ == '__main__':
    main()
