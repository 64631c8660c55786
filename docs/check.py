"""Check a built documentation site in a browser: pages, links, anchors, texts, pictures, width, search, and that
nothing comes from outside.

The site is that in the folder named by the environment variable SITE, or _docs. It may have been built by docs/build.py
or by Quarto. Needs the extra `docs`, and a Chromium on the PATH or named by the variable CHROMIUM.
"""
import ast, os, re, shutil, sys, threading
from configparser import ConfigParser
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

from playwright.sync_api import TimeoutError, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = ConfigParser()
SETTINGS.read(ROOT/'settings.ini', encoding='utf-8')
SETTINGS = SETTINGS['DEFAULT']
RARE = 'strides', 'glibc' # words that stand on few pages: the first that the site has is searched for
ARGS = '''--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync'''.split()
ENTRIES = '.sidebar-tree a[href], #quarto-sidebar a.sidebar-link[href]' # furo's and Quarto's
NARROW,WIDE = dict(width=390, height=844),dict(width=1280, height=900)
TEXTS = '''() => {
    const out = [], code = 'pre, code, script, style, math, textarea, noscript'
    const walk = document.createTreeWalker(document.querySelector('main, [role=main]') || document.body, 4)
    while (walk.nextNode()) if (!walk.currentNode.parentElement.closest(code)) out.push(walk.currentNode.data)
    return out
}'''
"The pieces of running text, without code."
RAW = '](', ' ## ', '__main__'
"What is in a text only where a sign of its source was not understood."
APART = re.compile(r'\d (%|[kMG]B|ms|minutes?|seconds?)(?!\w)')
"A figure whose unit may come on the next line."
PICTURES = '''all => all.filter(o => !o.alt || /[.](png|svg|jpe?g)$/.test(o.alt)).map(o => o.src.slice(0, 120))'''
"Pictures that have no alternative text, or the name of a file."
PROMISES = """() => [...document.querySelectorAll('main p, [role=main] p')].filter(
    o => /:$/.test(o.innerText.trim()) && !o.closest('li, td, blockquote, nav, .epigraph')
    && (!o.nextElementSibling || o.nextElementSibling.matches('p, section, h1, h2, h3, h4'))).map(o => o.innerText)"""
"Sentences that announce what does not follow."
FURNITURE = {
    'an icon': 'link[rel~=icon]', 'a description': 'meta[name=description]:not([content=""])',
    'a link to the repository': 'a[href="{repository}"]', 'a link to its source': 'a[href^="{repository}/blob/"]',
    'a button that copies code': 'button.copy, .code-copy-button'}
"What a page of a documentation site has, by the selector of an element."
CODE = '.cell_input pre, pre.sourceCode' # what is there to be copied
NEIGHBOURS = 'a.next-page, a.prev-page, .nav-page-next a[href], .nav-page-previous a[href]'


class Quiet(SimpleHTTPRequestHandler):
    "Serves files without a word."

    def log_message(self, *args):
        pass


def public_names() -> dict:
    "The names in each module's `__all__`, read without importing torch."
    out = {}
    for file in sorted((ROOT/'mnist_small').glob('*.py')):
        for o in ast.parse(file.read_text(encoding='utf-8')).body:
            if isinstance(o, ast.Assign) and getattr(o.targets[0], 'id', '') == '__all__':
                out[file.stem] = ast.literal_eval(o.value)
    return out


def address_of(link:str) -> str:
    "Where a link leads, without its anchor: a folder's page is its `index.html`."
    address = urldefrag(link)[0]
    return f'{address}index.html' if urlsplit(address).path.endswith('/') else address


def read_page(page, address:str) -> dict:
    "Open a page: its status, anchors, links and entries of the sidebar; other files have a status only."
    if not address.endswith('.html'):
        return dict(status=page.request.get(address).status, links=[], entries=[], ids=set())
    status = page.goto(address).status

    def links(css):
        return page.eval_on_selector_all(css, 'all => all.map(o => o.href)')

    ids = set(page.eval_on_selector_all('[id]', 'all => all.map(o => o.id)'))
    return dict(status=status, links=links('a[href]'), entries=links(ENTRIES), ids=ids, wrong=list(unlike(page)),
                lacks=lacking(page), text=page.locator('main, [role=main]').first.text_content())


def unlike(page):
    "What no page should show: signs of its source, pictures without a text, a text wider than a phone."
    for text in page.evaluate(TEXTS):
        text = re.sub(r'[ \n]+', ' ', f' {text} ')
        found = [o.strip() for o in RAW if o in text] + [o[0] for o in APART.finditer(text)]
        yield from (f'{o} in the text: {text.strip()[:80]}' for o in found)
    for o in page.evaluate(PROMISES):
        yield f'announces what does not follow: {o[-80:]}'
    for o in page.eval_on_selector_all('img', PICTURES):
        yield f'no alternative text for {o}'
    width = page.evaluate('document.documentElement.scrollWidth')
    if width > NARROW['width']:
        yield f'{width} pixels wide on a screen of {NARROW["width"]}'


def lacking(page) -> list:
    "What the page lacks of `FURNITURE`; no code, no button for it."
    out = [name for name,css in FURNITURE.items()
           if not page.locator(css.format(repository=SETTINGS['git_url'])).count()]
    if not page.locator(CODE).count():
        out = [o for o in out if o != 'a button that copies code']
    text = page.evaluate('document.body.textContent')
    out += ['the version']*(SETTINGS['version'] not in text)
    out += ['a date']*(re.search(r'20\d\d-\d\d-\d\d', text) is None)
    return out + ['a link to the next or previous page']*(not page.locator(NEIGHBOURS).count())


def crawl(page, start:str) -> dict:
    "All that links in the site lead to within it, by address, each opened on a narrow screen."
    page.set_viewport_size(NARROW)
    found,left = {},[start]
    while left:
        address = left.pop()
        if address in found:
            continue
        found[address] = read_page(page, address)
        left += [address_of(o) for o in found[address]['links'] if urlsplit(o).netloc == urlsplit(start).netloc]
    page.set_viewport_size(WIDE)
    return found


def broken(site:dict) -> list:
    "Links and names that lead nowhere."
    host,out = urlsplit(next(iter(site))).netloc,[]
    for address,o in site.items():
        if o['status'] != 200:
            out.append(f'{address}: status {o["status"]}')
        for link in o['links']:
            target,anchor = address_of(link),urldefrag(link)[1]
            ours = urlsplit(link).netloc == host and target in site
            if ours and anchor and unquote(anchor) not in site[target]['ids']:
                out.append(f'{address}: no anchor for {link}')
        out += [f'{address}: {o}' for o in o.get('wrong', ())]
    return out


def incomplete(site:dict, entries:set) -> list:
    "Names without an anchor, and pages that the sidebar leads to without what each of them has."
    ids = {urlsplit(k).path.rpartition('/')[2].removesuffix('.html'):v['ids'] for k,v in site.items()
           if urlsplit(k).path.count('/') == 1}
    out = []
    for module,names in public_names().items():
        out += [f'{module}: no anchor for {o}' for o in names if o.lower() not in ids.get(module, ())]
    for address in sorted(entries & site.keys()):
        out += [f'{address}: lacks {o}' for o in site[address]['lacks']]
    return out


def search(page, start:str, word:str) -> list:
    "Addresses that a search for `word` finds, typed into the search field of the start page."
    page.goto(start)
    if page.locator('#quarto-search').count(): # a button that opens a field
        page.locator('#quarto-search button').first.click()
        page.locator('input.aa-Input').last.fill(word) # once it is there: keys that come before are lost
        results = '.aa-Item a'
    else:
        page.locator('input[name=q]').first.fill(word)
        page.keyboard.press('Enter')
        results = 'ul.search a'
    try:
        page.wait_for_selector(results, timeout=20_000)
    except TimeoutError:
        return []
    return page.eval_on_selector_all(results, 'all => all.map(o => o.href)')


def check(page, start:str) -> list:
    "What is wrong with the site at `start`."
    wrong = []
    page.on('request', lambda o: urlsplit(o.url).netloc == urlsplit(start).netloc or o.url.startswith('data:')
            or wrong.append(f'{page.url}: asks for {o.url}'))
    page.on('console', lambda o: o.type != 'error' or o.location['url'].endswith('/favicon.ico') # asked for unbidden
            or wrong.append(f'{page.url}: {o.text} ({o.location["url"]})'))
    page.on('pageerror', lambda o: wrong.append(f'{page.url}: {o}'))
    site = crawl(page, start)
    entries = {address_of(o) for o in site[start]['entries']}-{start}
    if len(entries) < 5:
        wrong.append(f'only {len(entries)} entries in the sidebar') # so the rest of the site is not there either
    else:
        wrong += incomplete(site, entries|{start})
    wrong += [f'{o} is in the sidebar, but does not open' for o in entries if o not in site]
    wrong += broken(site)
    texts = {k:v['text'] for k,v in site.items() if 'text' in v}
    word = next(o for o in RARE if any(o in text for text in texts.values()))
    found = search(page, start, word)
    if not any(word in texts.get(unquote(urlsplit(o)._replace(query='', fragment='').geturl()), '') for o in found):
        wrong.append(f'a search for {word} finds {found}')
    pages,links = sum(o.endswith('.html') for o in site),sum(len(o['links']) for o in site.values())
    print(f'{pages} pages, {links:,} links, {len(entries)} sidebar entries')
    return wrong


def chromium() -> str:
    "The path of a Chromium."
    found = os.environ.get('CHROMIUM') or shutil.which('chromium') or shutil.which('chromium-browser')
    return found or sys.exit('no Chromium found: install it, or name it with CHROMIUM')


@contextmanager
def served():
    "The site's folder, and the address under which it is served."
    folder = Path(os.environ.get('SITE', ROOT/'_docs'))
    if not (folder/'index.html').is_file():
        sys.exit(f'{folder} holds no site: build it with docs/build.py')
    server = ThreadingHTTPServer(('localhost', 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder,f'http://localhost:{server.server_port}'
    server.shutdown()


def main():
    with served() as (_, start), sync_playwright() as p:
        with p.chromium.launch(executable_path=chromium(), args=ARGS) as browser:
            wrong = check(browser.new_page(), f'{start}/index.html')
    for o in wrong:
        print(o, file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == '__main__':
    main()
