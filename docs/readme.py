"""Write README.md from nbs/index.ipynb, or say whether they differ.

nbdev's own command for this calls Quarto, which is not in Python's package registries. Here markdown is taken as it is,
code cells become fenced blocks, and their text outputs follow as blocks of their own. Links, which start from the
notebook's folder there, start from the root here. Cells marked `#| hide` are left out, and the code of those marked
`#| echo: false`. `--results` first has those cells say anew what results/ says, and draws the picture beside them.
"""
import argparse, json, os, posixpath, re, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def from_root(text:str) -> str:
    "Markdown in which relative links start from the root instead of from nbs/."

    def moved(m):
        return f']({posixpath.normpath(posixpath.join("nbs", m[1]))})'

    return re.sub(r'\]\((?!https?:|#)([^)\s]+)\)', moved, text)


def readme(notebook:Path) -> str:
    "The text of README.md for `notebook`."
    parts = []
    for cell in json.loads(notebook.read_text(encoding='utf-8'))['cells']:
        text = ''.join(cell['source'])
        if cell['cell_type'] == 'markdown':
            text = re.sub(r'^```\{=html\}\n.*?^```$', '', text, flags=re.M|re.S).strip() # is for the site
            parts += [from_root(text)]*bool(text)
        elif not text.startswith('#| hide'):
            code = '\n'.join(o for o in text.splitlines() if not o.startswith('#|')).strip()
            if not text.startswith('#| echo: false'):
                parts.append(f'```python\n{code}\n```')
            for out in cell['outputs']:
                data = out.get('data', {})
                shown = ''.join(out.get('text', '') or data.get('text/plain', '')).rstrip()
                if 'text/markdown' in data:
                    parts.append(from_root(''.join(data['text/markdown'])))
                elif shown:
                    parts.append(f'```\n{shown}\n```')
    head = '<!-- Written by docs/readme.py from nbs/index.ipynb: edit that. -->'
    return '\n\n'.join([head, *parts]) + '\n'


def refresh(notebook:Path):
    "Draw the picture of all seeds, and run the cells whose outputs the README shows."
    from execnb.nbio import read_nb, write_nb
    from execnb.shell import CaptureShell
    from mnist_small.evidence import plot_seeds
    names = *[f'iteration{i}' for i in (1, 2, 3)], 'fewest', 'best'
    plot_seeds([ROOT/'results'/f'{o}.csv' for o in names]).savefig(notebook.parent/'seeds.png', dpi=110)
    shell,nb = CaptureShell(),read_nb(notebook)
    os.chdir(notebook.parent)
    code = [o for o in nb.cells if o.cell_type == 'code']
    for o in code[:1]+[o for o in code if o.source.startswith('#| echo: false')]: # the first one imports
        shell.cell(o)
        if shell.exc:
            raise shell.exc
    write_nb(nb, notebook)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--check', action='store_true', help='write nothing; exit with 1 if README.md says something else')
    p.add_argument('--results', action='store_true', help='first say anew what results/ says, and draw it')
    args,notebook,file = p.parse_args(),ROOT/'nbs'/'index.ipynb',ROOT/'README.md'
    if args.results:
        refresh(notebook)
    text = readme(notebook)
    if not args.check:
        file.write_text(text, encoding='utf-8')
    elif file.read_text(encoding='utf-8') != text:
        sys.exit('README.md differs from nbs/index.ipynb: run python docs/readme.py')


if __name__ == '__main__':
    main()
