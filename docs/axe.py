"""Hold every page of a built site against axe-core's rules of accessibility, at two widths, light and dark.

No rule is switched off. The site and the browser are those of docs/check.py. axe-core comes from npm's registry, into a
folder that is removed again; the variable AXE may name an `axe.min.js` that is there.
"""
import asyncio, os, shutil, subprocess, sys, tempfile
from pathlib import Path

from check import ARGS, chromium, served
from playwright.async_api import async_playwright

AXE = 'axe-core@4.14.1'
VIEWS = [(width, scheme) for width in (390, 1280) for scheme in ('light', 'dark')]
PAGES = 3 # open at once: more keep two cores no busier
RUN = """async () => (await axe.run({resultTypes: ['violations']})).violations.map(o => ({
    rule: o.id, places: o.nodes.length, first: o.nodes[0].target.join(' '), why: o.nodes[0].failureSummary}))"""


def axe_source() -> str:
    "axe-core's JavaScript."
    if os.environ.get('AXE'):
        return Path(os.environ['AXE']).read_text(encoding='utf-8')
    if not shutil.which('npm'):
        sys.exit('no npm found: install it, or name an axe.min.js with AXE')
    with tempfile.TemporaryDirectory() as d:
        command = ['npm', 'install', '--silent', '--no-save', '--ignore-scripts', '--prefix', d, AXE]
        subprocess.run(command, check=True, stdout=sys.stderr)
        return (Path(d)/'node_modules'/'axe-core'/'axe.min.js').read_text(encoding='utf-8')


async def violations(browser, address:str, source:str) -> list:
    "What axe finds on a page: width, colour scheme and violation."
    page,out = await browser.new_page(),[]
    await page.goto(address)
    await page.evaluate(source)
    for width,scheme in VIEWS:
        await page.set_viewport_size(dict(width=width, height=900))
        await page.emulate_media(color_scheme=scheme)
        await page.wait_for_timeout(100) # what the page makes of it
        out += [(width, scheme, o) for o in await page.evaluate(RUN)]
    await page.close()
    return out


async def audit(start:str, names:list, source:str) -> list:
    "A line for each violation on each page."
    out,gate = [],asyncio.Semaphore(PAGES)

    async def look(browser, name):
        async with gate:
            for width,scheme,o in await violations(browser, f'{start}/{name}', source):
                why = ' '.join(o['why'].split())
                out.append(f'{name} at {width} pixels, {scheme}: {o["rule"]}, {o["places"]} times: {o["first"]}: {why}')

    async with async_playwright() as p:
        async with await p.chromium.launch(executable_path=chromium(), args=ARGS) as browser:
            await asyncio.gather(*[look(browser, o) for o in names])
    return out


def main():
    with served() as (folder, start):
        names = [o.relative_to(folder).as_posix() for o in sorted(folder.rglob('*.html'))
                 if '<title' in o.read_text(encoding='utf-8')] # no pieces that the pages include
        found = asyncio.run(audit(start, names, axe_source()))
    for o in found:
        print(o, file=sys.stderr)
    print(f'axe: {len(names)} pages in {len(VIEWS)} views, {len(found)} violations')
    sys.exit(bool(found))


if __name__ == '__main__':
    main()
