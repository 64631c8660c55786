"""Hold every page of a built site against axe-core's rules of accessibility, at two widths, light and dark.

No rule is switched off. The site and the browser are those of docs/check.py. axe-core comes from npm's registry, into a
folder that is removed again; the variable AXE may name an `axe.min.js` that is there.
"""
import asyncio, os, subprocess, sys, tempfile
from collections import defaultdict
from pathlib import Path

from check import ARGS, chromium, served
from playwright.async_api import async_playwright

AXE = 'axe-core@4.14.1'
WIDTHS,SCHEMES = (390, 1280),('light', 'dark')
PAGES = 4 # open at once: more keep two cores no busier
RUN = """async () => (await axe.run({resultTypes: ['violations']})).violations.map(o =>
    [o.id, o.nodes.length, o.nodes[0].target.join(' '), o.nodes[0].any.concat(o.nodes[0].all, o.nodes[0].none)
     .map(o => o.message).join('; ')])"""


def axe_source() -> str:
    "axe-core's JavaScript."
    if os.environ.get('AXE'):
        return Path(os.environ['AXE']).read_text(encoding='utf-8')
    with tempfile.TemporaryDirectory() as d:
        command = ['npm', 'install', '--silent', '--no-save', '--ignore-scripts', '--prefix', d, AXE]
        subprocess.run(command, check=True, stdout=sys.stderr)
        return (Path(d)/'node_modules'/'axe-core'/'axe.min.js').read_text(encoding='utf-8')


async def violations(context, address:str, source:str) -> list:
    "What axe finds on a page: rule, number of places, the first of them, why."
    page = await context.new_page()
    try:
        await page.goto(address)
        await page.evaluate(source)
        return await page.evaluate(RUN)
    finally:
        await page.close()


async def audit(start:str, pages:list, source:str) -> dict:
    "Where each violation is found, by rule, place and reason."
    found,gate = defaultdict(list),asyncio.Semaphore(PAGES)
    async with async_playwright() as p:
        async with await p.chromium.launch(executable_path=chromium(), args=ARGS) as browser:

            async def look(width, scheme, context, name):
                async with gate:
                    for rule,n,place,why in await violations(context, f'{start}/{name}', source):
                        found[f'{rule}: {place} ({why})'].append(f'{name} at {width}, {scheme}, {n} times')

            jobs = []
            for width in WIDTHS:
                for scheme in SCHEMES:
                    context = await browser.new_context(viewport=dict(width=width, height=900), color_scheme=scheme)
                    jobs += [look(width, scheme, context, o) for o in pages]
            await asyncio.gather(*jobs)
    return found


def main():
    with served() as (folder, start):
        pages = sorted(o.relative_to(folder).as_posix() for o in folder.rglob('*.html'))
        found = asyncio.run(audit(start, pages, axe_source()))
    for what,where in found.items():
        print(f'{what}: {where[0]}; {len(where)} of {len(pages)*len(WIDTHS)*len(SCHEMES)} pages', file=sys.stderr)
    print(f'axe: {len(pages)} pages at {len(WIDTHS)} widths, light and dark: {len(found)} kinds of violation')
    sys.exit(bool(found))


if __name__ == '__main__':
    main()
