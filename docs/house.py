"""Check the order of the house: which module may import which, and how long cells, lines and modules may be.

Prints a line for each violation and exits with 1 if there is one. Reads files only, except for the modules that have to
be light: each of these is imported in a process of its own, which then says what came with it.
"""
import ast, json, re, subprocess, sys
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOORS = dict(
    files=1, quiet=1, strips=1, places=1.5, packaged=1.5, images=2, pictures=2, affine=2, models=2, ink=2, folding=3,
    onnx_graph=3.2, c_source=3.2, export=3.4, read=3, answer=3.2, named=3.5, compiling=3, state=3, dataset=3.5,
    loader=4, kernels=4, warping=4, loop=4, optimisers=4, recipes=5, target=5, callbacks=6, speed=6, soft_targets=6,
    training=6.2,
    aside=6.3, learner=6.5, record=6.6, checkpoint=6.8, recorder=6.9, runs=7, figures=7, cluster=7, report=8, sweep=8,
    evidence=8, command=8, cli=9, page=3.3)
"The floor of each module: it imports from lower ones, not from its own."
ONLY = dict(affine=(), loop=('quiet',), optimisers=('quiet',), quiet=(), target=(), recipes=('files',))
"Modules that may import less of the library than their floor says."
BARRED = dict(
    files=('torch', 'fastai'), recipes=('torch', 'fastai'), target=('torch', 'fastai'), places=('torch', 'fastai'),
    packaged=('torch', 'fastai'), images=('fastai',), pictures=('torch', 'fastai'), ink=('torch', 'fastai'),
    strips=('torch', 'fastai'),
    affine=('fastai',), models=('fastai',), folding=('fastai',), onnx_graph=('fastai',), c_source=('fastai',),
    export=('fastai',), read=('torch', 'fastai'), answer=('torch', 'fastai', 'matplotlib', 'pandas', 'onnxruntime'),
    named=('torch', 'fastai'), command=('torch', 'fastai', 'pandas'), cli=('torch', 'fastai', 'pandas'),
    page=('fastai',))
"What must not be loaded once a module is imported."
CELL,LINE,MODULE = 40,120,300 # lines, characters, lines
SCRIPTS = 'setup.py', 'docs/*.py', 'benchmarks/*.py'


def modules() -> dict:
    "The library's modules by name, except its lists of names."
    files = (ROOT/'mnist_small').glob('*.py')
    return {o.stem:o for o in sorted(files) if o.stem not in ('__init__', '_modidx', 'all')}


def imported(file:Path, inside:bool=True) -> set: # Names of modules, without the library's
    "What of the library a module imports, in its functions too if `inside`."
    tree = ast.parse(file.read_text(encoding='utf-8'))
    out = set()
    for o in ast.walk(tree) if inside else tree.body:
        if isinstance(o, ast.Import):
            out |= {a.name.split('.')[1] for a in o.names if a.name.startswith('mnist_small.')}
        elif isinstance(o, ast.ImportFrom):
            module = o.module or ''
            if o.level == 0 and module.split('.')[0] != 'mnist_small':
                continue
            rest = module.removeprefix('mnist_small').removeprefix('.')
            out |= {rest.split('.')[0]} if rest else {a.name for a in o.names}
    return out


def arrows():
    "Imports that do not point down."
    found = modules()
    for name,file in found.items():
        if name not in FLOORS:
            yield f'{name}: has no floor in docs/house.py'
            continue
        for other in sorted(imported(file, inside=name != 'cli') & found.keys()):
            if other in FLOORS and FLOORS[other] >= FLOORS[name]:
                yield f'{name} (floor {FLOORS[name]}) imports {other} (floor {FLOORS[other]})'
            elif other not in ONLY.get(name, found):
                yield f'{name} imports {other}: it may import {" and ".join(ONLY[name]) or "nothing"} of the library'


def heavy():
    "Modules that load what they have to do without."
    for name in BARRED.keys() & modules().keys():
        code = f'import sys, mnist_small.{name}; print(*sys.modules)'
        ran = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
        if ran.returncode:
            yield f'{name}: cannot be imported: {ran.stderr.strip().splitlines()[-1]}'
        for o in sorted(set(BARRED[name]).intersection(ran.stdout.split())):
            yield f'{name}: importing it loads {o}'


def long_lines(lines:list, where:str):
    "Lines with too many characters."
    for i,line in enumerate(lines, 1):
        if len(line) > LINE:
            yield f'{where}:{i}: {len(line)} characters, more than {LINE}'


def prose(lines:list) -> list: # Of pairs
    "Each line outside of code, after the one before it."
    code,out = False,[]
    for before,line in zip(['', *lines], lines, strict=False):
        code ^= line.startswith('```')
        if not code:
            out.append((before, line))
    return out


def notebooks():
    "Cells that are too long or too wide, headings that one line swallows, and outputs that pull scripts into the site."
    for file in sorted((ROOT/'nbs').rglob('*.ipynb')):
        if '.ipynb_checkpoints' in file.parts:
            continue
        for cell in json.loads(file.read_text(encoding='utf-8'))['cells']:
            where,lines = f'{file.relative_to(ROOT)} cell {cell["id"]}',''.join(cell['source']).splitlines()
            if len(lines) > CELL:
                yield f'{where}: {len(lines)} lines, more than {CELL}'
            yield from long_lines(lines, where)
            for before,line in prose(lines) if cell['cell_type'] == 'markdown' else []:
                if before.strip() and line.startswith('## '):
                    yield f'{where}: a heading without a blank line before it, which Pandoc takes for text'
                if line.startswith('%'):
                    yield f'{where}: a line that begins with %, which MyST takes for a comment'
            if any('text/html' in o.get('data', ()) for o in cell.get('outputs', ())):
                yield f'{where}: has a text/html output'


def scripts():
    "Modules that are too long, and lines in them and in scripts that are too wide."
    for file in (ROOT/'mnist_small').glob('*.py'):
        if file.stem == '_modidx': # nbdev's index: generated, data only
            continue
        text = file.read_text(encoding='utf-8')
        lines = re.sub(r"^__all__ = \[.*?\]$", "", text, flags=re.M|re.S).splitlines() # nbdev breaks that line
        if text.count('\n') > MODULE:
            yield f'mnist_small/{file.name}: {text.count(chr(10))} lines, more than {MODULE}'
        yield from long_lines(lines, f'mnist_small/{file.name}')
    for file in sorted(o for pattern in SCRIPTS for o in ROOT.glob(pattern)):
        yield from long_lines(file.read_text(encoding='utf-8').splitlines(), file.relative_to(ROOT))


def versions():
    "A version that Quarto's pages name and that is not this one."
    config = ConfigParser()
    config.read(ROOT/'settings.ini', encoding='utf-8')
    footer = f"page-footer: {config['DEFAULT']['title']} {config['DEFAULT']['version']}\n"
    if footer not in (ROOT/'nbs'/'_quarto.yml').read_text(encoding='utf-8'):
        yield f'nbs/_quarto.yml: does not say {footer.strip()}'


def main():
    wrong = [o for check in (arrows, heavy, notebooks, scripts, versions) for o in check()]
    for o in wrong:
        print(o)
    sys.exit(bool(wrong))


if __name__ == '__main__':
    main()
