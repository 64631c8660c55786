"""Write the reader of digits for a site into its folder: reader.js, which the start page loads, and reader.html.

The first has the networks of the package to choose between, the second is one file that opens from a disk.
docs/build.py does the same; run this after a build with Quarto.
"""
import argparse
from pathlib import Path

SHOWN = 'reader', 3, 2, 1, 'sprint' # the first is shown at first


def write_reader(folder:Path):
    "Both files."
    from mnist_small.export import export_model, packaged_script
    script = f'(() => {{\n"use strict";\n{packaged_script(SHOWN)}}})();\n' # not a module: those do not load from a disk
    (folder/'reader.js').write_text(script, encoding='utf-8')
    export_model(SHOWN[0], folder/'reader.html', force=True)


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('folder', type=Path, help="the site's folder")
    write_reader(p.parse_args().folder)
