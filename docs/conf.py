"Sphinx's configuration for the site that docs/build.py makes."
import json, re
from configparser import ConfigParser
from html import escape
from pathlib import Path

from docutils import nodes

ROOT = Path(__file__).resolve().parent.parent
settings = ConfigParser()
settings.read(ROOT/'settings.ini', encoding='utf-8')
settings = settings['DEFAULT']

project,author,copyright,release = [settings[o] for o in ('title', 'author', 'copyright', 'version')]
extensions = ['myst_nb']
html_theme,html_title = 'furo',f'{project} {release}'
html_theme_options = dict(top_of_page_buttons=['view'], source_view_link=settings['git_url'], footer_icons=[
    dict(name='Repository', url=settings['git_url'], html='Repository', **{'class': ''})])
html_static_path,html_css_files,html_favicon = ['../nbs/styles.css'],['styles.css'],'../nbs/icon.svg'
templates_path,html_last_updated_fmt = ['templates'],'%Y-%m-%d'
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


def _move_sources(app, doctree):
    "The link to a name's source, which is a paragraph of its own, goes into the heading before it."
    for o in doctree.findall(nodes.section):
        if len(o) > 1 and isinstance(o[1], nodes.paragraph) and o[1].astext() == 'source':
            link = o[1][0]
            link['classes'].append('source')
            o.remove(o[1])
            o[0] += link


def _about(app, pagename, templatename, context, doctree):
    "The description of a page, and the link to its notebook."
    page = json.loads((Path(app.srcdir)/'pages.json').read_text(encoding='utf-8')).get(pagename)
    if page is None:
        context['theme_source_view_link'] = None # the search
        return
    context['metatags'] += f'<meta name="description" content="{escape(page["description"])}">'
    context['theme_source_view_link'] = f"{settings['git_url']}/blob/{settings['branch']}/nbs/{page['notebook']}"


def setup(app):
    app.connect('doctree-read', _keep_slugs)
    app.connect('doctree-read', _move_sources, priority=900) # once the table of contents is made
    app.connect('html-page-context', _about)
    script = re.search('<script>(.*)</script>', (ROOT/'nbs'/'site.html').read_text(encoding='utf-8'), flags=re.S)[1]
    app.add_js_file(None, body=script)
