// What the reader is made of, and how it looks. Colours are those of the text around it and one of its own.

export const STYLE = `
:host { display: block; --light: #4a86d8; --line: color-mix(in srgb, currentColor 45%, transparent);
  --faint: color-mix(in srgb, currentColor 7%, transparent); font-variant-numeric: tabular-nums; line-height: 1.4; }
* { box-sizing: border-box; margin: 0; padding: 0; }
.reader { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 13.5rem), 1fr)); gap: 1.5rem 2rem; }
.reader > * { display: flex; flex-direction: column; gap: .75rem; min-width: 0; max-width: 24rem; }
.surface { position: relative; aspect-ratio: 1; border: 1px solid var(--line); border-radius: .5rem; overflow: hidden; }
.surface:has(:focus-visible) { outline: 3px solid var(--light); outline-offset: 2px; }
canvas { display: block; width: 100%; background: var(--faint); border-radius: .25rem; image-rendering: pixelated; }
.ink { height: 100%; touch-action: none; cursor: crosshair; image-rendering: auto; background: none; outline: none; }
.hint { position: absolute; inset: 0; display: grid; place-items: center; pointer-events: none; }
.pen { position: absolute; width: 7%; height: 7%; margin: -3.5%; border: 2px solid var(--light); border-radius: 50%;
  pointer-events: none; visibility: hidden; }
.ink:focus-visible ~ .pen { visibility: visible; }
.pen.down { background: var(--light); }
.row { display: flex; gap: .5rem; }
.samples { display: grid; grid-template-columns: repeat(5, 1fr); gap: .375rem; }
button, select { font: inherit; color: inherit; background: transparent; border: 1px solid var(--line);
  border-radius: .375rem; min-height: 2.5rem; padding: 0 .5rem; width: 100%; }
button { cursor: pointer; }
button:hover { background: var(--faint); }
option { color: CanvasText; background: Canvas; }
button:focus-visible, select:focus-visible { outline: 3px solid var(--light); outline-offset: 2px; }
.said { display: flex; align-items: center; gap: .75rem; min-height: 4rem; }
.digit { font-size: 3.5rem; line-height: 4rem; min-width: 2.25rem; font-weight: 600; }
.bars { list-style: none; display: grid; gap: .25rem; }
.bars li { display: grid; grid-template-columns: 1rem 1fr 4.25rem; gap: .5rem; align-items: center; }
.bars .track { height: .875rem; background: var(--faint); border-radius: .25rem; overflow: hidden; }
.bars .bar { height: 100%; background: var(--light); transform-origin: left; transform: scaleX(0); }
.bars .share { text-align: right; }
.bars .first { font-weight: 700; }
.small { font-size: .875rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.seen { width: 7rem; }
label { display: grid; gap: .25rem; }
`;

const samples = [...'0123456789'].map(o => `<button type="button" aria-label="Sample digit ${o}">${o}</button>`);
const bars = [...'0123456789'].map(o => `<li><span>${o}</span><span class="track" aria-hidden="true">
  <div class="bar"></div></span><span class="share"></span></li>`);

export const MARKUP = `
<div class="reader">
  <div>
    <div class="surface">
      <canvas class="ink" tabindex="0" role="application" aria-label="Draw a digit" aria-describedby="keys"></canvas>
      <div class="hint" aria-hidden="true">Draw a digit</div>
      <div class="pen"></div>
    </div>
    <div class="row">
      <button type="button" class="undo">Undo</button>
      <button type="button" class="clear">Clear</button>
    </div>
    <div class="samples" role="group" aria-label="Sample digits">${samples.join('')}</div>
    <p class="small" id="keys">With the keyboard: arrows move the pen, space sets it down and lifts it, backspace takes
      back a stroke, delete clears.</p>
  </div>
  <div>
    <p class="said"><span class="digit"></span><span class="words"></span></p>
    <p class="unseen" role="status"></p>
    <ol class="bars" aria-label="Probabilities of the digits">${bars.join('')}</ol>
    <label class="networks"><span>Network</span><select></select></label>
    <p class="small about"></p>
  </div>
  <div>
    <p id="sees">What the network sees</p>
    <canvas class="seen" width="28" height="28" role="img" aria-labelledby="sees"></canvas>
    <label class="layers"><span>What a layer makes of it</span><select></select></label>
    <canvas class="maps" role="img" aria-label="The maps of the layer"></canvas>
  </div>
</div>
`;
