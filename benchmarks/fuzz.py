"""Feed the readers of strangers' files with damaged ones: no traceback, no hang, and memory within what they say.

    python -m benchmarks.fuzz --seconds 600 --json fuzz.json idx picture strips run sweep checkpoint

Each reader runs in a process of its own, for so many seconds. Bytes come from atheris, which looks for new ways through
the Python code of the reader, where it is installed; with `--by hypothesis`, or without atheris, from hypothesis. What
is neither an answer nor an `InputError` is counted by where it was raised, and the bytes that did so are kept in
`--keep`. So are bytes that took longer than `--slow` seconds. It exits with 1 if there are any.
"""
import argparse
import importlib.util
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

FILES = 'recipe.json', 'history.csv', 'model.safetensors' # of a run, of which one is damaged at a time


def packed_idx(shape:tuple) -> bytes:
    "A small IDX file."
    import numpy as np
    rng = np.random.default_rng(0)
    return bytes([0, 0, 8, len(shape)])+np.array(shape, '>u4').tobytes()+rng.bytes(int(np.prod(shape)))


def idx_target(folder:Path) -> tuple: # Examples of good files, and a function of bytes
    import gzip
    from mnist_small.images import read_idx
    file,raw = folder/'file',packed_idx((3,28,28))
    def read(content):
        file.write_bytes(content)
        read_idx(file, (28,28))
    return [raw, gzip.compress(raw, mtime=0), gzip.compress(raw[:900], mtime=0)+gzip.compress(raw[900:], mtime=0)], read


def picture_target(folder:Path) -> tuple:
    from io import BytesIO

    import numpy as np
    from mnist_small.images import center_by_mass
    from mnist_small.pictures import to_image
    from PIL import Image
    from sklearn.datasets import load_digits
    grey = Image.fromarray(center_by_mass((load_digits().images[0]*15).astype(np.uint8)))
    kinds = 'PNG JPEG GIF TIFF BMP WEBP PPM TGA ICO JPEG2000 PCX SGI'.split()
    found = []
    for kind in kinds:
        for mode in ('L', 'P', 'RGB', 'RGBA', '1', 'I;16', 'CMYK'):
            out = BytesIO()
            try:
                grey.convert(mode).save(out, kind)
            except (OSError, ValueError, KeyError, AttributeError):
                continue # a format that lacks this mode, or that Pillow was built without
            found.append(out.getvalue())
    for compression in ('tiff_lzw', 'tiff_adobe_deflate', 'jpeg', 'group4'):
        for mode in ('1',) if compression == 'group4' else ('L', 'RGB'):
            out = BytesIO()
            grey.convert(mode).save(out, 'TIFF', compression=compression, tiffinfo={278:8}) # rows of a strip
            found.append(out.getvalue())
    return found, to_image


def strips_target(folder:Path) -> tuple:
    "Pictures as if all of them were large, in strips of a few rows."
    from mnist_small import pictures, strips
    pictures._MANY,strips._STRIP = 0,4*28*5
    return picture_target(folder)


def run_target(folder:Path) -> tuple:
    from mnist_small.learner import mnist_learner
    from mnist_small.loader import mnist_dls
    from mnist_small.runs import Run, RunRecorder
    learn = mnist_learner(3, mnist_dls('digits'), cbs=RunRecorder(folder/'run'))
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1)
    good = {o:(folder/'run'/o).read_bytes() for o in FILES}
    def read(content):
        name = FILES[content[0]%3] if content else FILES[0]
        (folder/'run'/name).write_bytes(content[1:])
        try:
            run = Run(folder/'run')
            f'{run!r} {run.verdict} {run.accuracies}'
            if run.complete:
                run.model()
        finally:
            (folder/'run'/name).write_bytes(good[name])
    return [bytes([i])+good[o] for i,o in enumerate(FILES)], read


def sweep_target(folder:Path) -> tuple:
    from mnist_small.evidence import read_sweep, sweep_summary, sweeps_table
    file = folder/'sweep.csv'
    good = (Path(__file__).parent.parent/'results'/'iteration3.csv').read_bytes()
    def read(content):
        file.write_bytes(content)
        sweep_summary(read_sweep(file)[1])
        sweeps_table([file])
    head = [o for o in good.splitlines(True) if o.startswith(b'#')]
    rows = [o for o in good.splitlines(True) if not o.startswith(b'#')]
    return [b''.join(head+rows[:3]), good], read


def checkpoint_target(folder:Path) -> tuple:
    from fastai.callback.core import Callback
    from mnist_small.checkpoint import Checkpoint
    from mnist_small.files import CHECKPOINT
    from mnist_small.learner import mnist_learner
    from mnist_small.loader import mnist_dls
    from mnist_small.recorder import RunRecorder
    file = folder/'run'/CHECKPOINT
    kept = []
    class Keep(Callback):
        order = RunRecorder.order+1
        def after_epoch(self):
            kept.append(file.read_bytes())
    learn = mnist_learner(3, mnist_dls('digits'), cbs=[RunRecorder(folder/'run'), Keep()])
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1)
    good = kept[0]
    from zlib import crc32
    mark = b'"crc32":"'
    def read(content):
        at = content.find(mark)+len(mark)
        if at >= len(mark) and content[:1] != b'\xff': # with its checksum made right, or nothing else would be reached
            content = content[:at]+b'0'*8+content[at+8:]
            content = content[:at]+b'%08x'%crc32(content)+content[at+8:]
        file.write_bytes(content)
        Checkpoint(file)
    return [good], read


TARGETS = dict(idx=idx_target, picture=picture_target, strips=strips_target, run=run_target, sweep=sweep_target,
               checkpoint=checkpoint_target)


class Watch:
    "Calls a reader and counts what becomes of it, until the time is over."
    def __init__(self, name:str, read, args):
        from mnist_small.files import InputError
        self.name,self.read,self.args,self.refusal = name,read,args,InputError
        self.counts,self.failures,self.slowest = dict(read=0, refused=0),{},0
        self.before,self.start = self.memory(),time.monotonic()

    def memory(self) -> float: # MB, the most so far
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024

    def keep(self, why:str, content:bytes):
        "Count a failure; the first of each kind is kept."
        if why not in self.failures and self.args.keep:
            self.args.keep.mkdir(parents=True, exist_ok=True)
            (self.args.keep/f'{self.name}-{len(self.failures)}').write_bytes(content)
        self.failures[why] = self.failures.get(why, 0)+1

    def __call__(self, content:bytes):
        start = time.monotonic()
        try:
            self.read(content)
            self.counts['read'] += 1
        except self.refusal as e:
            self.counts['refused'] += 1
            if len(str(e).splitlines()) != 1:
                self.keep('an InputError of several lines', content)
        except Exception as e: # whatever it is, it should have been an InputError
            at = traceback.extract_tb(e.__traceback__)[-1]
            self.keep(f'{type(e).__name__} in {Path(at.filename).name}:{at.lineno}: {str(e)[:80]}', content)
        spent = time.monotonic()-start
        self.slowest = max(self.slowest, spent)
        if spent > self.args.slow:
            self.keep(f'more than {self.args.slow} s', content)
        if time.monotonic()-self.start > self.args.seconds:
            self.end()

    def end(self):
        "Say what there was on the last line, and end the process, which atheris would not."
        told = dict(target=self.name, by=self.args.by, seconds=round(time.monotonic()-self.start), **self.counts,
                    failures=self.failures, slowest=round(self.slowest, 2), memory_before=round(self.before),
                    memory=round(self.memory()))
        print(json.dumps(told), flush=True)
        os._exit(0)


def by_hypothesis(examples:list, watch:Watch):
    "Pieces of good files replaced, removed, doubled, one after another."
    from hypothesis import HealthCheck, given, seed, settings
    from hypothesis import strategies as st
    piece = st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=40))
    def damage(content, pieces): # here, because hypothesis keeps what it draws, and a file has megabytes
        for share,n,new in pieces:
            at = int(share*len(content))
            content = content[:at]+new+content[at+n:]
        watch(content)
    for i in range(10**9):
        seed(i)(settings(max_examples=1000, deadline=None, database=None, suppress_health_check=list(HealthCheck))(
            given(st.sampled_from(examples), st.lists(piece, max_size=6))(damage)))()


def one(name:str, args):
    "In this process: one target."
    import warnings
    warnings.simplefilter('ignore')
    folder = Path(tempfile.mkdtemp(dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None, prefix='fuzz'))
    if args.by == 'atheris':
        import atheris
        ours = ['PIL', 'mnist_small', 'gzip', 'json', 'csv']
        with atheris.instrument_imports(include=ours, enable_loader_override=False):
            examples,read = TARGETS[name](folder)
        corpus = folder/'corpus'
        corpus.mkdir()
        for i,o in enumerate(examples):
            (corpus/f'{i}').write_bytes(o)
        most = 2*max(map(len, examples))
        options = [f'-max_len={most}', f'-timeout={args.hang}', '-rss_limit_mb=0', '-verbosity=0',
                   f'-artifact_prefix={folder}/', f'-seed={args.seed}']
        watch = Watch(name, read, args)
        atheris.Setup([sys.argv[0], *options, str(corpus)], watch)
        atheris.Fuzz()
    else:
        random.seed(args.seed)
        examples,read = TARGETS[name](folder)
        by_hypothesis(examples, Watch(name, read, args))


def main():
    p = argparse.ArgumentParser(prog='python -m benchmarks.fuzz', description=__doc__.splitlines()[0])
    p.add_argument('targets', nargs='*', help=f'some of {", ".join(TARGETS)} (default: all)')
    p.add_argument('--seconds', type=float, default=60, help='for each (default: 60)')
    p.add_argument('--by', choices=('atheris', 'hypothesis'), help='where bytes come from (default: atheris if there)')
    p.add_argument('--slow', type=float, default=10, help='seconds that no reader may take for a file (default: 10)')
    p.add_argument('--hang', type=int, default=120, help='seconds after which a process is ended (default: 120)')
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--keep', type=Path, help='folder for bytes that failed')
    p.add_argument('--json', type=Path, help='also write the counts to this file')
    p.add_argument('--only', help=argparse.SUPPRESS)
    args = p.parse_args()
    args.by = args.by or ('atheris' if importlib.util.find_spec('atheris') else 'hypothesis')
    if args.only:
        return one(args.only, args)
    for o in args.targets:
        if o not in TARGETS:
            p.error(f'unknown target {o!r}: choose from {", ".join(TARGETS)}')
    found = []
    for name in args.targets or TARGETS:
        command = [sys.executable, '-m', 'benchmarks.fuzz', '--only', name, '--by', args.by, '--seed', str(args.seed),
                   '--seconds', str(args.seconds), '--slow', str(args.slow), '--hang', str(args.hang)]
        command += ['--keep', str(args.keep)]*bool(args.keep)
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, 'PYTHONWARNINGS':'ignore'})
        lines = [o for o in ran.stdout.splitlines() if o.startswith('{"target"')]
        told = json.loads(lines[-1]) if lines else dict(target=name, failures={f'it ended with {ran.returncode}':1})
        print(told, flush=True)
        found.append(told)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1)+'\n')
    sys.exit(any(o['failures'] for o in found))


if __name__ == '__main__':
    main()
