"Sphinx's configuration for the site that docs/build.py makes."
import re
from configparser import ConfigParser
from pathlib import Path

from docutils import nodes

settings = ConfigParser()
settings.read(Path(__file__).resolve().parent.parent/'settings.ini', encoding='utf-8')
settings = settings['DEFAULT']

project,author,copyright,release = [settings[o] for o in ('title', 'author', 'copyright', 'version')]
extensions = ['myst_nb']
html_theme,html_title = 'furo',settings['title']
html_static_path,html_css_files = ['../nbs/styles.css'],['styles.css']
html_copy_source = html_show_sourcelink = False
html_use_index = False # no page is written in Sphinx's own language, so its index would be empty
pygments_dark_style = 'github-dark' # the default underlines names of modules as if they were links
nb_execution_mode,nb_render_markdown_format = 'off','gfm' # outputs are shown as they were kept
myst_heading_anchors,myst_heading_slug_func = 4,'conf.slug' # named, because Sphinx pickles its configuration


def slug(title:str) -> str:
    "The anchor that Pandoc, and so Quarto, gives a heading; nbdev's links count on it."
    return re.sub(r'\s+', '-', re.sub(r'[^\w\s.-]', '', title.lower()).strip())


def _keep_slugs(app, doctree):
    "docutils' own anchors have - for _ and .; put Pandoc's beside them."
    for o in doctree.findall(nodes.section):
        if 'slug' in o and o['slug'] not in o['ids']:
            o['ids'].append(o['slug'])


def setup(app):
    app.connect('doctree-read', _keep_slugs)
