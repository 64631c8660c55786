"""Check a built documentation site in a browser: pages, links, anchors, search, and that nothing comes from outside.

The site is that in the folder named by the environment variable SITE, or _docs. It may have been built by docs/build.py
or by Quarto. Needs the extra `docs`, and a Chromium on the PATH or named by the variable CHROMIUM.
"""
import ast, os, shutil, sys, threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

from playwright.sync_api import TimeoutError, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
RARE,FOUND_ON = 'strides','speed.html' # a word that stands on one page, and that page
ARGS = '''--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync'''.split()
ENTRIES = '.sidebar-tree a, #quarto-sidebar a.sidebar-link' # furo's and Quarto's


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


def read_page(page, address:str) -> dict:
    "Open a page: its status, anchors, links and entries of the sidebar; other files have a status only."
    if not address.endswith('.html'):
        return dict(status=page.request.get(address).status, links=[], entries=[], ids=set())
    status = page.goto(address).status

    def links(css):
        return page.eval_on_selector_all(css, 'all => all.map(o => o.href)')

    return dict(status=status, links=links('a[href]'), entries=links(ENTRIES),
                ids=set(page.eval_on_selector_all('[id]', 'all => all.map(o => o.id)')))


def crawl(page, start:str) -> dict:
    "All that links in the site lead to within it, by address."
    found,left = {},[start]
    while left:
        address = left.pop()
        if address in found:
            continue
        found[address] = read_page(page, address)
        left += [urldefrag(o)[0] for o in found[address]['links'] if urlsplit(o).netloc == urlsplit(start).netloc]
    return found


def broken(site:dict) -> list:
    "Links and names that lead nowhere."
    host,out = urlsplit(next(iter(site))).netloc,[]
    for address,o in site.items():
        if o['status'] != 200:
            out.append(f'{address}: status {o["status"]}')
        for link in o['links']:
            target,anchor = urldefrag(link)
            ours = urlsplit(link).netloc == host and target in site
            if ours and anchor and unquote(anchor) not in site[target]['ids']:
                out.append(f'{address}: no anchor for {link}')
    ids = {urlsplit(k).path.rpartition('/')[2].removesuffix('.html'):v['ids'] for k,v in site.items()
           if urlsplit(k).path.count('/') == 1}
    for module,names in public_names().items():
        out += [f'{module}: no anchor for {o}' for o in names if o.lower() not in ids.get(module, ())]
    return out


def search(page, start:str) -> list:
    "Addresses that a search for `RARE` finds, typed into the search field of the start page."
    page.goto(start)
    if page.locator('#quarto-search').count(): # a button that opens a field
        page.locator('#quarto-search button').first.click()
        page.keyboard.type(RARE)
        results = '.aa-Item a'
    else:
        page.locator('input[name=q]').first.fill(RARE)
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
    entries = {urldefrag(o)[0] for o in site[start]['entries']}-{start}
    if len(entries) < 5:
        wrong.append(f'only {len(entries)} entries in the sidebar')
    wrong += [f'{o} is in the sidebar, but does not open' for o in entries if o not in site]
    wrong += broken(site)
    found = search(page, start)
    if not any(urlsplit(o).path.endswith(FOUND_ON) for o in found):
        wrong.append(f'a search for {RARE} finds {found}')
    else:
        page.goto(next(o for o in found if urlsplit(o).path.endswith(FOUND_ON)))
        if RARE not in page.inner_text('body'):
            wrong.append(f'{page.url} does not have the word {RARE}')
    pages,links = sum(o.endswith('.html') for o in site),sum(len(o['links']) for o in site.values())
    print(f'{pages} pages, {links:,} links, {len(entries)} sidebar entries')
    return wrong


def main():
    folder = Path(os.environ.get('SITE', ROOT/'_docs'))
    if not (folder/'index.html').is_file():
        sys.exit(f'{folder} holds no site: build it with docs/build.py')
    browser = os.environ.get('CHROMIUM') or shutil.which('chromium') or shutil.which('chromium-browser')
    if not browser:
        sys.exit('no Chromium found: install it, or name it with CHROMIUM')
    server = ThreadingHTTPServer(('localhost', 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as p:
        with p.chromium.launch(executable_path=browser, args=ARGS) as chromium:
            wrong = check(chromium.new_page(), f'http://localhost:{server.server_port}/index.html')
    for o in wrong:
        print(o, file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == '__main__':
    main()
