"""Check the page that reads digits in a browser, against Python: each step, the probabilities, and drawing by hand.

The page is the one that `export_model` writes. Needs the extra `docs`, and a Chromium on the PATH or named by the
variable CHROMIUM.
"""
import base64, os, sys, tempfile, zlib
from pathlib import Path

import numpy as np
from check import ARGS, chromium
from mnist_small.answer import read_digit, read_digits
from mnist_small.export import export_model, packaged_script
from mnist_small.files import InputError
from mnist_small.images import load_images
from mnist_small.packaged import packaged_names
from mnist_small.read import digit_steps, frame_digit
from playwright.sync_api import sync_playwright

DRAWINGS,IMAGES = 500,1000
WIDTHS = 320, 390, 800, 1400
NAMES = 'digitSteps, readPixels, unpacked, sampleStrokes, DigitReader, NoDigit, grid'


# ---- Drawings of all kinds of hand

def line(ink:np.ndarray, a, b, radius:float, level:int):
    "Ink from `a` to `b`, as much of each pixel as a round pen covers."
    (h,w),reach = ink.shape,radius+1
    x0,y0 = [max(0, int(min(p, q)-reach)) for p,q in zip(a, b, strict=True)]
    x1,y1 = [min(n, int(max(p, q)+reach)+1) for p,q,n in zip(a, b, (w, h), strict=True)]
    if x0 >= x1 or y0 >= y1:
        return
    y,x = np.mgrid[y0:y1,x0:x1]+.5
    dx,dy = b[0]-a[0],b[1]-a[1]
    along = (((x-a[0])*dx+(y-a[1])*dy)/((dx*dx+dy*dy) or 1)).clip(0, 1)
    covered = (radius+.5-np.hypot(x-a[0]-along*dx, y-a[1]-along*dy)).clip(0, 1)
    part = ink[y0:y1,x0:x1]
    np.maximum(part, (level*covered).round().astype(np.uint8), out=part)


def pen(ink:np.ndarray, strokes:list, radius:float, level:int=255):
    "All of `strokes`, each of points (x,y)."
    for points in strokes:
        for a,b in zip(points, [*points[1:], points[-1]], strict=True):
            line(ink, a, b, radius, level)


def hand(rng, samples:list, h:int, w:int, size:float, at, shake:float=0., slant:float=0.) -> list:
    "Strokes of a digit in somebody's hand: `size` of its height, its centre `at` (x,y)."
    turn = rng.normal(0, .08)
    out = []
    for points in samples[rng.integers(10)]:
        p = np.array(points)/168-.5
        x,y = p[:,0]*rng.uniform(.7, 1.3)-slant*p[:,1],p[:,1]
        p = np.stack([x*np.cos(turn)-y*np.sin(turn), x*np.sin(turn)+y*np.cos(turn)], 1)
        wobble = rng.normal(0, shake, p.shape)
        out.append(p*size/.62+wobble*size+at)
    return out


def plain(rng, samples:list) -> np.ndarray:
    "A drawing of one kind of hand or another: 0 for paper to 255 for ink."
    h,w = rng.choice([(168,168), (168,168), (224,224), (280,280), (150,260), (90,70), (48,48), (30,30), (24,36),
                      (700,500)])
    kind,least = rng.integers(6),min(h, w)
    size,shake,slant,radius = rng.uniform(.4, .75)*least,0.,rng.normal(0, .15),rng.uniform(.02, .04)*least
    at = np.array([w, h])/2+rng.normal(0, .04, 2)*least
    if kind == 0:
        shake = rng.uniform(.005, .04)
    elif kind == 1: # large, cut off at the edges
        size = rng.uniform(.85, 1.3)*least
    elif kind == 2: # in a corner
        size = rng.uniform(.15, .35)*least
        at = np.array([w, h])*rng.choice([.2, .8], 2)
    elif kind == 3:
        slant = rng.choice([-1, 1])*rng.uniform(.4, .9)
    elif kind == 4:
        radius = rng.choice([.6, .9, 1.4])
    else:
        radius = rng.uniform(.06, .11)*least
    ink = np.zeros((h,w), np.uint8)
    pen(ink, hand(rng, samples, h, w, size, at, shake, slant), max(radius, .6))
    if rng.random() < .3: # one stroke too many, as after a slip
        pen(ink, [rng.uniform(.1, .9, (2,2))*[w, h]], max(radius, .6))
    return ink


def near_decision(rng, samples:list) -> np.ndarray:
    "A drawing that is nearly another one: a pixel or a level decides."
    kind,h,w = rng.integers(10),168,168
    ink = np.zeros((h,w), np.uint8)
    if kind == 0: # a weak stroke, as strong as noise or half as strong as ink, where levels are whole
        ink[40:130,70:84] = 200
        ink[60:120,95:109] = rng.choice([1, 2, 3, 99, 100, 101])
    elif kind == 1: # nearly two digits: a gap as wide as what is still close by, give or take a pixel
        tall = int(rng.integers(60, 90))
        gap = 2*(tall//6+1)+int(rng.integers(-2, 3))
        ink[40:40+tall,50:60] = 255
        ink[40:40+int(tall*rng.choice([.2, .34, .5, .75, 1])),60+gap:70+gap] = 255
    elif kind == 2: # at the edge, or a pixel off it, and as long as a shadow may be
        far,size = rng.integers(-1, 3, 2),int(rng.choice([60, 83, 84, 85, 126, 127]))
        y,x = np.maximum(far, 0)
        ink[y:y+size,x:x+12] = ink[y:y+12,x:x+size] = 255
    elif kind == 3: # specks, as large as the least part, and too small for a digit
        n = int(rng.integers(3, 6))
        ink[80:80+n,80:80+n] = 255
        ink[20:22,100:100+int(rng.integers(1, 4))] = 255 if rng.random() < .5 else 0
    elif kind == 4: # as large as the digit is looked at, or twice that; and strokes of a usual thickness
        size,thick = int(rng.choice([95, 96, 97, 47, 48, 49])),int(rng.integers(3, 20))
        ink[30:30+size,60:60+thick] = ink[30+size-thick:30+size,60:60+size//2] = 255
    elif kind == 5: # a picture that has to be shrunk, or just not
        h,w = rng.choice([(512,512), (512,513), (513,511), (1024,257), (1030,1020)])
        ink = np.zeros((h,w), np.uint8)
        pen(ink, hand(rng, samples, h, w, rng.uniform(.3, .6)*min(h, w), [w/2, h/2]), rng.uniform(.01, .03)*min(h, w))
    elif kind == 6: # frames, rings and lines below, nearly too large or too near
        outer,thick = int(rng.integers(100, 165)),int(rng.integers(1, 4))
        ink[2:2+outer,2:2+outer] = 255
        ink[2+thick:2+outer-thick,2+thick:2+outer-thick] = 0
        size = outer*rng.choice([.24, .26, .45, .55])
        pen(ink, hand(rng, samples, h, w, size, [2+outer/2]*2), 2+size/30)
        ink[2+outer//2+int(size/2)+2:][:3,60:60+int(rng.integers(10, 60))] = 255
    elif kind == 7: # paper with rules, one more or fewer than makes rules, and nearly as dark as ink
        for i in range(int(rng.integers(2, 5))):
            ink[20+i*33:22+i*33,:int(w*rng.choice([.7, .75, .8, 1]))] = int(rng.choice([80, 130, 170, 171, 255]))
        pen(ink, hand(rng, samples, h, w, 90, [w/2, h/2]), 4)
    elif kind == 8: # MNIST's form, or a pixel off it
        ink = np.zeros((28,28), np.uint8)
        pen(ink, hand(rng, samples, 28, 28, 17.5, [14, 14]), 1)
        ink = np.roll(frame_digit(ink), rng.integers(-1, 2, 2), (0, 1))
        ink[0,0] = rng.choice([0, 16, 17])
    else: # many parts, about as many as noise falls into
        for i in range(int(rng.integers(23, 27))):
            ink[30+18*(i//5):36+18*(i//5),30+18*(i%5):36+18*(i%5)] = 255
    return ink


def drawings(samples:list, n:int, seed:int=0) -> list: # Of arrays (h,w) uint8
    "Pictures of drawings; each third is near a decision, each fourth is light on dark, some are grey and noisy."
    rng,out = np.random.default_rng(seed),[]
    for i in range(n):
        a = (near_decision if i%3 == 0 else plain)(rng, samples)
        if i%10 == 9:
            a = (30+a*.6+rng.integers(-9, 10, a.shape)).clip(0, 255).astype(np.uint8)
        out.append(a if i%4 == 3 else 255-a)
    return [*out, np.full((1,2**18+1), 255, np.uint8)] # so thin that nothing is left of it


# ---- Python's side and the page's

def checksum(a) -> int:
    "CRC-32 of an array as 32-bit integers."
    return zlib.crc32(np.ascontiguousarray(a, '<i4').tobytes())


def python_steps(a:np.ndarray) -> dict: # Shape and checksum of each step, or what is wrong
    try:
        return {k:[*v.shape, checksum(v)] for k,v in digit_steps(a).items()}
    except InputError as e:
        return dict(error=str(e))


PAGE_STEPS = '''([shapes, bytes]) => {
  const raw = Uint8Array.from(atob(bytes), o => o.charCodeAt(0)), table = new Int32Array(256);
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xEDB88320 : c >>> 1;
    table[i] = c;
  }
  const checksum = v => {
    let c = -1;
    for (const o of new Uint8Array(Int32Array.from(v).buffer)) c = (c >>> 8) ^ table[(c ^ o) & 255];
    return (c ^ -1) >>> 0;
  };
  let at = 0;
  return shapes.map(([h, w]) => {
    const v = raw.subarray(at, at += h*w);
    try {
      const steps = Object.entries(page.digitSteps(page.grid(h, w, v)));
      return Object.fromEntries(steps.map(([k, o]) => [k, [o.h, o.w, checksum(o.v)]]));
    } catch (e) {
      if (!(e instanceof page.NoDigit)) throw e;
      return {error: e.message};
    }
  });
}'''


def load_script(page, script:str):
    "A script as a page has it, in an empty page, its functions in the variable `page`."
    page.goto('about:blank')
    page.evaluate('''async source => {
      window.page = await import(URL.createObjectURL(new Blob([source], {type: 'text/javascript'})));
    }''', f'{script}\nexport {{{NAMES}}};')


def check_steps(page) -> list:
    "What differs in the steps."
    samples = page.evaluate('[...Array(10).keys()].map(page.sampleStrokes)')
    pictures = drawings(samples, DRAWINGS)
    raw = base64.b64encode(b''.join(o.tobytes() for o in pictures)).decode()
    found = page.evaluate(PAGE_STEPS, [[o.shape for o in pictures], raw])
    want = [python_steps(o) for o in pictures]
    errors = [o['error'] for o in want if 'error' in o]
    print(f'{len(pictures)} drawings, {len(errors)} without one digit ({len(set(errors))} reasons)')
    out = []
    for i,(a,b) in enumerate(zip(found, want, strict=True)):
        wrong = [k for k in a.keys()|b.keys() if a.get(k) != b.get(k)]
        if wrong:
            out.append(f'drawing {i}: {", ".join(k for k in [*b, *a] if k in wrong)}: {a} is not {b}')
    if len(set(errors)) < 4:
        out.append(f'the drawings have too few kinds of errors: {set(errors)}')
    return out


def check_probabilities(page) -> list:
    "What differs in the probabilities."
    source = 'mnist' if os.environ.get('MNIST_SMALL_DATA') else 'digits'
    x = load_images(source).x_test[:IMAGES].numpy()
    raw,out = base64.b64encode(x.tobytes()).decode(),[]
    for i,name in enumerate(packaged_names()):
        page.evaluate('i => { window.net = page.unpacked(page.DigitReader.networks[i]); }', i)
        found = page.evaluate('''([n, bytes]) => {
          const raw = Uint8Array.from(atob(bytes), o => o.charCodeAt(0));
          return [...Array(n).keys()].map(i => page.readPixels(net, raw.subarray(i*784, i*784 + 784)).probabilities);
        }''', [len(x), raw])
        off = np.abs(np.array(found)-[o.probabilities for o in read_digits(x, name)]).max()
        print(f'{name}: probabilities of {len(x)} images ({source}) differ by {off:.1e}')
        if not off < 1e-4:
            out.append(f'{name}: probabilities differ by {off:.1e}')
    return out



# ---- Drawing in the page, as people do

BY_HAND = { # points in hundredths of the surface, other ones than the page's samples
    1:['46 25 52 18 52 40 51 62 50 84'],
    4:['36 18 33 34 30 50 44 51 60 50 72 49', '58 34 57 50 56 66 55 84'],
    7:['28 24 44 23 60 22 72 22 64 38 56 54 50 70 46 84'],
    9:['66 30 58 22 44 22 36 32 38 46 50 50 62 44 66 30 65 48 62 66 58 84']}
TWO = ['20 20 20 50 20 80', '80 20 80 50 80 80']


def along(stroke:str, box:dict) -> list: # Of (x,y)
    "The points of a stroke on the page."
    o = [float(v)/100 for v in stroke.split()]
    return [(box['x']+x*box['width'], box['y']+y*box['height']) for x,y in zip(o[::2], o[1::2], strict=True)]


def by_mouse(page, strokes:list):
    "Draw with the mouse."
    box = page.locator('.ink').bounding_box()
    for stroke in strokes:
        first,*others = along(stroke, box)
        page.mouse.move(*first)
        page.mouse.down()
        for o in others:
            page.mouse.move(*o)
        page.mouse.up()


def by_touch(page, strokes:list):
    "Draw with a finger."
    box,send = page.locator('.ink').bounding_box(),page.context.new_cdp_session(page).send
    for stroke in strokes:
        points = [[dict(x=x, y=y)] for x,y in along(stroke, box)]
        for kind,at in [('touchStart', points[0]), *[('touchMove', o) for o in points[1:]], ('touchEnd', [])]:
            send('Input.dispatchTouchEvent', dict(type=kind, touchPoints=at))


def by_pen(page, strokes:list):
    "Draw with a stylus."
    box,send = page.locator('.ink').bounding_box(),page.context.new_cdp_session(page).send
    for stroke in strokes:
        points = along(stroke, box)
        moved = [('mouseMoved', o) for o in points]
        for kind,(x,y) in [('mousePressed', points[0]), *moved, ('mouseReleased', points[-1])]:
            send('Input.dispatchMouseEvent', dict(type=kind, x=x, y=y, button='left', buttons=1, clickCount=1,
                                                  pointerType='pen', force=.5))


def answer(page) -> dict:
    "What the page says, what it shows, and what is drawn there."
    page.evaluate('() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')
    return page.evaluate('''() => {
      const reader = document.querySelector('digit-reader'), one = css => reader.shadowRoot.querySelector(css);
      const {layers, ...read} = reader.answer, bars = [...reader.shadowRoot.querySelectorAll('.bar')];
      const widths = bars.map(o => o.getBoundingClientRect().width/o.parentElement.getBoundingClientRect().width);
      return {...read, seen: 0, image: [...read.image ?? []], picture: [...reader.picture], bars: widths,
              said: one('.said').textContent, spoken: one('[role=status]').textContent};
    }''')


def agrees(found:dict, digit:int, how:str) -> list:
    "What is wrong with an answer: it is to be `digit`, and `read_digit`'s of the same picture."
    if found['problem']:
        return [f'{how}: {found["problem"]}']
    want = read_digit(np.array(found['picture'], np.uint8).reshape(168, 168))
    off = np.abs(np.array(found['bars'])-want.probabilities).max()
    wrong = [f'{how}: the page reads {found["digit"]}'] if found['digit'] != digit else []
    if found['digit'] != want.digit or off > 1e-2 or found['sure'] != want.sure:
        wrong.append(f'{how}: the page reads {found["said"]}, read_digit {want}; the bars are off by {off:.1e}')
    if not np.array_equal(np.reshape(found['image'], (28,28)), want.image):
        wrong.append(f'{how}: the image differs from that of read_digit')
    return wrong


def expect(wrong:list, holds:bool, said:str):
    "Take down what does not hold."
    if not holds:
        wrong.append(said)


def check_drawing(page) -> list:
    "What is wrong with drawing by mouse, finger and pen, and with what is said to it."
    wrong,clear = [],page.locator('.clear')
    expect(wrong, 'Nothing drawn' in answer(page)['said'], 'an empty page does not say that nothing is drawn')
    for digit,strokes in BY_HAND.items():
        for how in (by_mouse, by_touch, by_pen) if digit == 4 else (by_mouse,):
            how(page, strokes)
            wrong += agrees(answer(page), digit, f'{digit} {how.__name__}')
            clear.click()
    for i in range(10):
        page.locator('.samples button').nth(i).click()
        wrong += agrees(answer(page), i, f'sample {i}')
    clear.click()
    by_mouse(page, TWO)
    expect(wrong, 'Several digits' in answer(page)['said'], f'two digits are read as {answer(page)["said"]}')
    page.locator('.undo').click()
    wrong += agrees(answer(page), 1, 'the first of two strokes')
    page.locator('.undo').click()
    expect(wrong, 'Nothing drawn' in answer(page)['said'], 'something is left once all is undone')
    unsure = 0
    for top in (46, 50, 54): # a four that closes to a nine
        clear.click()
        by_mouse(page, ['36 22 36 48 60 48', f'{top} 22 62 24 62 48 60 84'])
        found = answer(page)
        wrong += agrees(found, found.get('digit'), f'between four and nine, {top}')
        unsure += not found['sure']
        expect(wrong, ('not sure' in found['said']) == ('?' in found['said']) == (not found['sure']),
               f'{found["said"]} is shown where sure is {found["sure"]}')
    print(f'{unsure} of 3 between four and nine are not sure')
    expect(wrong, unsure > 0, 'nothing between four and nine is unsure')
    return wrong


def check_keyboard(page) -> list:
    "What is wrong for somebody without a mouse."
    wrong,press = [],page.keyboard.press
    focused = 'document.querySelector("digit-reader").shadowRoot.activeElement?.className'
    press('Tab')
    expect(wrong, page.evaluate(focused) == 'ink', 'the first stop of the tabulator is not the surface')
    before = page.evaluate('scrollY')
    ring = page.evaluate('getComputedStyle(document.querySelector("digit-reader").shadowRoot.querySelector(".surface"))'
                         '.outlineStyle')
    expect(wrong, ring == 'solid', 'the focus of the surface is not seen')
    left,right,down = 'ArrowLeft', 'ArrowRight', 'ArrowDown'
    for o in [left]*8+[' ']+[right]*16+[left, down]*5+[down]*20+[' ']:
        press(o)
    wrong += agrees(answer(page), 7, 'a seven drawn with keys')
    page.wait_for_timeout(900)
    expect(wrong, answer(page)['spoken'].startswith('7, '), f'the live region says {answer(page)["spoken"]}')
    expect(wrong, page.evaluate('scrollY') == before, 'keys that draw scroll the page')
    press('Backspace')
    expect(wrong, 'Nothing drawn' in answer(page)['said'], 'backspace takes back no stroke')
    for _ in range(40): # on to the sample of a five
        press('Tab')
        if page.evaluate('document.querySelector("digit-reader").shadowRoot.activeElement?.textContent') == '5':
            break
    press('Enter')
    wrong += agrees(answer(page), 5, 'a sample picked with keys')
    press('Control+z')
    expect(wrong, 'Nothing drawn' in answer(page)['said'], 'Control+Z takes back no stroke')
    return wrong


def check_widths(browser, address:str) -> list:
    "Where something lies outside of the page."
    wrong = []
    for width in WIDTHS:
        for scheme in ('light', 'dark'):
            page = browser.new_page(viewport=dict(width=width, height=900), color_scheme=scheme)
            page.goto(address)
            page.locator('.samples button').nth(4).click()
            out = page.evaluate('''() => [document.documentElement,
              ...document.querySelector('digit-reader').shadowRoot.querySelectorAll('*')].filter(
                o => o.scrollWidth > o.clientWidth + 1 && o.clientWidth > 1 && getComputedStyle(o).display !== 'inline'
                  || o.getBoundingClientRect().right > innerWidth).map(o => `${o.localName}.${o.className}`)''')
            wrong += [f'{o} does not fit into {width} pixels, {scheme}' for o in out]
            page.close()
    return wrong


def watched(context, wrong:list, asked:list):
    "A new page whose errors and requests are taken down."
    page = context.new_page()
    page.on('request', lambda o: asked.append(o.url))
    page.on('console', lambda o: wrong.append(o.text))
    page.on('pageerror', lambda o: wrong.append(str(o)))
    return page


def check_page(browser, file:Path) -> list:
    "What is wrong with the page in a file."
    address,wrong,asked = file.as_uri(),[],[]
    for check in (check_drawing, check_keyboard):
        context = browser.new_context(has_touch=True, viewport=dict(width=900, height=700))
        page = watched(context, wrong, asked)
        page.goto(address)
        wrong += check(page)
        context.close()
    wrong += [f'asks for {o}' for o in asked if o != address and not o.startswith('data:')]
    return wrong+check_widths(browser, address)


def main():
    wrong = []
    with tempfile.TemporaryDirectory() as tmp, sync_playwright() as p:
        file = export_model('reader', Path(tmp)/'reader.html')
        with p.chromium.launch(executable_path=chromium(), args=ARGS) as browser:
            wrong += check_page(browser, file)
            page = browser.new_page()
            load_script(page, packaged_script(packaged_names()))
            wrong += check_probabilities(page)
            load_script(page, file.read_text(encoding='utf-8').split('<script type="module">')[1].split('</script>')[0])
            wrong += check_steps(page)
    for o in wrong:
        print(o, file=sys.stderr)
    print(f'page: {len(wrong)} faults')
    sys.exit(bool(wrong))


if __name__ == '__main__':
    main()
