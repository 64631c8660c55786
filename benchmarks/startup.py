"""What `mnist_small_train` takes before its first optimiser step and after its last, from process start to end.

The command runs as it is typed, in a process of its own, and its training is ended after one step. In each round that
happens once for each source tree that is named (`--trees OLD,NEW`; by default this one), in turn, so that two states of
the library can be told apart. What notes the time is hooked to the functions that read the images and build the
learner, and to the first step. Which imports the time goes to comes from one more run of each tree under
`python -X importtime`, where a module's time is its own, without what it imports.
"""
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.sprint import command, data_name
from benchmarks.turns import parser, quartiles, report

STAGES = ('python, command line', 'imports', 'reading the images', 'building the learner', 'to the first step',
          'to the end of the command', 'to the end of the process')
"What the marks of `WATCHER` and the end of the process lie between."

WATCHER = '''
import sys, time
from importlib.util import find_spec
def mark(name): print('mark', name, time.time(), file=sys.stderr, flush=True)
def timed(module, name, before, after):
    f = getattr(module, name)
    def call(*args, **kwargs):
        mark(before)
        out = f(*args, **kwargs)
        mark(after)
        return out
    setattr(module, name, call)
def stopped(learner):
    from fastai.callback.core import Callback, CancelFitException
    class Stop(Callback):
        order = 1000
        def after_step(self):
            mark('step')
            raise CancelFitException
    build = learner.mnist_learner
    def built(*args, **kwargs):
        learn = build(*args, **kwargs)
        learn.add_cb(Stop())
        return learn
    learner.mnist_learner = built
    timed(learner, 'mnist_learner', 'building', 'built')
def read(images):
    timed(images, 'load_images', 'reading', 'read')
class Finder:
    after = {'mnist_small.learner':stopped, 'mnist_small.images':read}
    def find_spec(self, name, path=None, target=None):
        change = self.after.pop(name, None)
        if not change: return None
        spec = find_spec(name)
        run = spec.loader.exec_module
        def exec_module(module):
            run(module)
            change(module)
        spec.loader.exec_module = exec_module
        return spec
sys.meta_path.insert(0, Finder())
mark('python')
sys.argv = sys.argv[1:]
try: exec(compile(open(sys.argv[0]).read(), sys.argv[0], 'exec'), dict(__name__='__main__'))
finally: mark('command')
'''
"Runs the script of a console command and notes when it gets where."


def watched_run(tree:str, data:str, folder:Path, *options) -> tuple: # Marks by name and the seconds at them; all stderr
    "Run the command of the library in `tree` up to the first step."
    args = [sys.executable, *options, '-c', WATCHER, command('mnist_small_train'), '--iteration', '3']
    args += ['--data', data, '--out', str(folder)]
    start = time.time()
    env = {**os.environ, 'PYTHONPATH':tree}
    done = subprocess.run(args, capture_output=True, text=True, env=env, cwd=folder.parent)
    end = time.time()
    marks = {o.split()[1]:float(o.split()[2])-start for o in done.stderr.splitlines() if o.startswith('mark ')}
    if 'step' not in marks:
        sys.exit(f'the command failed in {tree}: {(done.stderr.strip().splitlines() or [""])[-1]}')
    return {**marks, 'end':end-start}, done.stderr


def stages(marks:dict) -> dict: # Seconds by `STAGES`
    "What lies between marks. Reading that goes on beside imports counts with these."
    reading = min(marks['read']-marks['reading'], marks['building']-marks['python'])
    parts = (marks['python'], marks['building']-marks['python']-reading, reading, marks['built']-marks['building'],
             marks['step']-marks['built'], marks['command']-marks['step'], marks['end']-marks['command'])
    return dict(zip(STAGES, parts, strict=True))


def imports(told:str) -> Counter: # Seconds by package
    "What `-X importtime` told, added up by package."
    seconds = Counter()
    for own,name in re.findall(r'import time: +(\d+) \| +\d+ \| +(\S+)', told):
        seconds[name.partition('.')[0]] += int(own)/1e6
    return seconds


def main():
    p = parser(__doc__, 'startup', 9, unit='starts of each tree')
    p.add_argument('--trees', default=str(Path(__file__).parents[1]),
                   help='folders that hold a `mnist_small` each, separated by commas (default: this one)')
    args = p.parse_args()
    trees,data = [str(Path(o).resolve()) for o in args.trees.split(',')],data_name(args.data)
    found,packages = {o:[] for o in trees},{}
    with tempfile.TemporaryDirectory() as tmp:
        for tree in trees: # also brings the files into memory
            folder = Path(tmp)/f'imports {trees.index(tree)}'
            packages[tree] = imports(watched_run(tree, data, folder, '-X', 'importtime')[1])
        for i in range(args.rounds):
            for j,tree in enumerate(trees):
                found[tree].append(watched_run(tree, data, Path(tmp)/f'{i} {j}')[0])
                print(f'round {i+1}  {tree}: first step after {found[tree][i]["step"]:.2f} s, '
                      f'end after {found[tree][i]["end"]:.2f} s', flush=True)
    for tree,marks in found.items():
        print(f'\n{tree}\n{"median of seconds":<28}')
        for stage in STAGES:
            print(f'  {stage:<26} {statistics.median(stages(o)[stage] for o in marks):6.2f}')
        for name in ('step', 'end'):
            low,mid,high = quartiles([o[name] for o in marks])
            print(f'  from start to {name:<12} {mid:6.2f}  ({low:.2f} to {high:.2f})')
        print('  imports by package, of one run: '
              + ', '.join(f'{k} {v:.2f}' for k,v in packages[tree].most_common(12)))
    for tree in trees[1:]:
        ratio = quartiles([b['end']/a['end'] for a,b in zip(found[trees[0]], found[tree], strict=True)])
        print(f'\n{tree} / {trees[0]}: {ratio[1]:.3f} ({ratio[0]:.3f} to {ratio[2]:.3f})')
    report(args, marks=found, imports=packages)


if __name__ == '__main__':
    main()
