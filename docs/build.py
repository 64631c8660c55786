"""Build the documentation site into _docs/ with Sphinx, from the notebooks as nbdev prepares them for Quarto.

`nbdev_docs` builds the same with Quarto, which is not in Python's package registries. The pages and their order are
those of nbs/sidebar.yml. Needs the extra `docs`.
"""
import argparse, inspect, json, os, posixpath, re, shutil, sys, tempfile
from functools import partial, reduce
from importlib import import_module
from itertools import zip_longest
from pathlib import Path

import yaml
from reader import write_reader

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT/'nbs'
MAIN = dict(
    answer='read_digit', images='load_images', learner='mnist_learner', loader='mnist_dls', read='prepare_digit')
"The name that a page begins with, where it is not the first that its notebook defines."


def sidebar() -> list:
    "Sections in reading order: pairs of a caption, which may be None, and notebooks relative to nbs/."
    contents = yaml.safe_load((NBS/'sidebar.yml').read_text(encoding='utf-8'))['website']['sidebar']['contents']
    return [(o['section'], o['contents']) if isinstance(o, dict) else (None, [o]) for o in contents]


def front_matter(nb:dict) -> dict:
    "What nbdev made of a notebook's first cell: title, description and the name of the page."
    return yaml.safe_load(''.join(nb['cells'][0]['source']).strip().strip('-'))


def linked(text:str, page:str, pages:dict, site:str) -> str:
    "Markdown with links to notebooks, and nbdev's links to this site, turned into links to pages."
    folder = posixpath.dirname(page)

    def moved(m):
        path,_,anchor = m[1].partition('#')
        if path.startswith(site):
            path = path[len(site):].removesuffix('.html')
        else:
            path = pages.get(posixpath.normpath(posixpath.join(folder, path)))
        if path is None:
            return m[0]
        return f']({posixpath.relpath(path, posixpath.dirname(pages[page]) or ".")}.ipynb{"#"*bool(anchor)}{anchor})'

    text = re.sub(r'\]\(([^)\s]+)\)', moved, text)
    return re.sub(r'(\]\([^)\s]+\))\{[^}\n]*\}', r'\1', text) # Quarto's attributes of links


def callouts(text:str) -> str:
    "Markdown with Quarto's callouts turned into MyST's admonitions; other fenced divs, and HTML, lose their fences."
    text = re.sub(r'^```\{=html\}\n(.*?)^```$', r'\1', text, flags=re.M|re.S)
    text = re.sub(r'^:::+ *\{\.callout-(\w+)[^}]*\}$', r':::{\1}', text, flags=re.M)
    if ':::{' in text:
        return text
    return re.sub(r'^:::.*$', '', text, flags=re.M)


def short(o) -> str:
    "A type, or code that names types, without the modules they come from."
    text = o.__name__ if isinstance(o, type) else str(o)
    return re.sub(r"(?<![\w.'\"])(?:[a-z_]\w*\.)+(?=[A-Za-z_])", '', text)


def parameters(obj) -> str:
    "A table of the parameters of `obj`, and what it returns, that docments say something of; empty if there are none."
    from fastcore.docments import docments
    none = inspect.Parameter.empty

    def row(name, o):
        default = o.get('default', none)
        code = [] if o.anno in (none, type(None)) else [short(o.anno)]
        if default is not none:
            code.append(f"= {getattr(default, '__name__', None) or repr(default)}")
        cells = f'**{name}**' + f' `{" ".join(code)}`'*bool(code), o.docment
        return f'| {" | ".join(cell.replace("|", chr(92)+"|") for cell in cells)} |'

    try:
        found = docments(obj, full=True)
    except (TypeError, ValueError):
        return '' # no signature
    rows = [row(name.replace('return', 'returns'), o) for name,o in found.items() if name != 'self' and o.docment]
    return '\n'.join(['', '| parameter | meaning |', '| --- | --- |', *rows])*bool(rows)


def documented(text:str, page:str) -> str:
    "What `show_doc` says of a name: heading, source, signature, and its docments as a table in place of comments."
    text = text.removeprefix('---\n') # a rule
    text = re.sub(r'(\[source\].*)\n+(#+ .*\n)', r'\2\n\1\n', text)
    signature = partial(re.sub, r'```python\n.*?```', string=text, count=1, flags=re.S)
    text = signature(lambda m: short(m[0]).replace(':NoneType=None', '=None'))
    name = re.search(r'^#+ (\S+)$', text, flags=re.M)[1]
    try:
        obj = reduce(getattr, name.split('.'), import_module(f'mnist_small.{page}'))
    except (AttributeError, ImportError):
        return text
    table = parameters(inspect.unwrap(obj))
    if table:
        text = re.sub(r'```python\n.*?```', lambda m: re.sub(r' *# .*', '', m[0]), text, count=1, flags=re.S)
    return f'{text}\n{table}'


def options(text:str) -> tuple:
    "Quarto's options at the head of a cell, and the cell without them and nbdev's."
    head = re.match(r'(#\|.*\n?)*', text)[0]
    said = '\n'.join(re.findall(r'^#\| *([\w-]+: .*)', head, flags=re.M))
    return yaml.safe_load(said) or {},text[len(head):]


def translated(cell:dict, link, page:str) -> list:
    "The cells that MyST-NB is given for one of nbdev's."
    def markdown(text):
        return dict(cell_type='markdown', metadata={}, source=callouts(link(text)))

    text = ''.join(cell['source'])
    if cell['cell_type'] == 'markdown':
        return [markdown(text)]
    if cell['cell_type'] != 'code':
        return []
    said,code = options(text)
    if said.get('include') is False:
        return []
    if said.get('output') == 'asis': # from `show_doc`
        return [markdown(documented(''.join(o['data']['text/markdown']), page)) for o in cell['outputs']]
    if said.get('echo') is False:
        tags = ['remove-input']
    else:
        tags = ['hide-input']*(not cell['outputs'] and re.search(r'^ *(test_|assert )', code, flags=re.M) is not None)
    pictures = [o for o in cell['outputs'] if 'image/png' in o.get('data', ())]
    first = [o for o in cell['outputs'] if o not in pictures[1:]]
    out = [dict(cell, source=code, metadata=dict(tags=tags), outputs=first)]
    out += [dict(cell, source=code, metadata=dict(tags=['remove-input']), outputs=[o]) for o in pictures[1:]]
    alts = said.get('fig-alt') or ''
    for o,picture,alt in zip_longest(out, pictures, [alts] if isinstance(alts, str) else alts):
        o['metadata']['mystnb'] = dict(code_prompt_show='Tests', image=dict(alt=alt or '', **width(picture)))
    return out


def width(picture) -> dict:
    "The width of a figure in pixels, which has two for each of them in the file."
    size = re.match(r'<Figure size (\d+)x', ''.join(picture['data'].get('text/plain', ''))) if picture else None
    return dict(width=f'{size[1]}px') if size else {}


def led(cells:list, name:str) -> list:
    "Cells in which what documents `name` comes before all that has a heading."
    doc = next(o for o in cells if re.match(rf'\s*#+ {name}$', o['source'], flags=re.M))
    rest = [o for o in cells if o is not doc]
    first = next(i for i,o in enumerate(rest[1:], 1) if re.search('^#', o['source'], flags=re.M))
    return rest[:first] + [doc] + rest[first:]


def levelled(cells:list) -> list:
    "Cells in which the heading of a name is a section's where no section has begun, so that no level is left out."
    out,begun = [],False
    for o in cells:
        if o['cell_type'] == 'markdown':
            begun = begun or re.search('^## ', o['source'], flags=re.M) is not None
            if not begun:
                o = dict(o, source=re.sub('^### ', '## ', o['source'], flags=re.M))
        out.append(o)
    return out


def write_sources(proc:Path, out:Path, site:str):
    "Write the notebooks in `proc` into `out` as Sphinx reads them, and what they refer to."
    sections = sidebar()
    nbs = {o:json.loads((proc/o).read_text(encoding='utf-8')) for _,files in sections for o in files}
    fronts = {k:front_matter(v) for k,v in nbs.items()}
    pages = {k:posixpath.join(posixpath.dirname(k), v['output-file']).removesuffix('.html') for k,v in fronts.items()}
    for name,nb in nbs.items():
        link = partial(linked, page=name, pages=pages, site=site)
        heading = f"# {fronts[name]['title']}\n\n*{fronts[name].get('description', '')}*"
        cells = [dict(cell_type='markdown', metadata={}, source=heading)]
        for o in nb['cells'][1:]:
            cells += translated(o, link, pages[name])
        if pages[name] in MAIN:
            cells = led(cells, MAIN[pages[name]])
        if name == 'index.ipynb':
            cells.append(dict(cell_type='markdown', metadata={}, source=contents(sections, pages)))
        (out/pages[name]).parent.mkdir(parents=True, exist_ok=True)
        made = dict(nb, cells=[dict(o, id=f'cell-{i}') for i,o in enumerate(levelled(cells))])
        (out/f'{pages[name]}.ipynb').write_text(json.dumps(made), encoding='utf-8')
    about = {pages[k]:dict(notebook=k, description=v.get('description', '')) for k,v in fronts.items()}
    (out/'pages.json').write_text(json.dumps(about), encoding='utf-8')
    for picture in NBS.rglob('*.png'):
        shutil.copyfile(picture, out/picture.relative_to(NBS))


def contents(sections:list, pages:dict) -> str:
    "The tables of contents, which become the sidebar."
    parts = []
    for caption,files in sections:
        files = [pages[o] for o in files if o != 'index.ipynb']
        head = f':caption: {caption}\n' if caption else ''
        if files:
            parts.append('\n'.join(['```{toctree}', f':hidden:\n{head}', *files, '```']))
    return '\n\n'.join(parts)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--out', type=Path, default=ROOT/'_docs', help='folder for the site (default: _docs)')
    out = p.parse_args().out.resolve()
    os.chdir(ROOT)
    if out.exists() and not (out/'index.html').exists() and any(out.iterdir()):
        sys.exit(f'{out} holds something else than a site: name another folder with --out')
    from nbdev.config import get_config
    from nbdev.serve import proc_nbs
    from sphinx.cmd.build import main as sphinx
    cfg = get_config()
    proc = proc_nbs(force=True)
    with tempfile.TemporaryDirectory() as d:
        source,built = Path(d)/'source',Path(d)/'built'
        write_sources(proc, source, f'{cfg.doc_host}{cfg.doc_baseurl}/')
        options = ['-W', '--keep-going', '-q', '-c', str(ROOT/'docs'), '-d', f'{d}/doctrees']
        failed = sphinx([*options, str(source), str(built)])
        if failed:
            sys.exit(failed)
        write_reader(built)
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(built, out)
    print(f'{out}/index.html')


if __name__ == '__main__':
    main()
