// What the reader is made of, and how it looks: in the colour of the text around it, and one of its own.

export const STYLE = `
:host { display: block; line-height: 1.4; font-variant-numeric: tabular-nums; --own: #4a86d8;
  --line: color-mix(in srgb, currentColor 45%, transparent);
  --faint: color-mix(in srgb, currentColor 7%, transparent); }
* { box-sizing: border-box; margin: 0; padding: 0; }
[hidden] { display: none !important; }
.reader { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 14rem), 1fr)); gap: 1.5rem 2rem; }
.reader > * { display: flex; flex-direction: column; gap: .75rem; min-width: 0; max-width: 24rem; }
.surface { position: relative; aspect-ratio: 1; border: 1px solid var(--line); border-radius: .5rem; overflow: hidden;
  user-select: none; -webkit-user-select: none; }
canvas { display: block; width: 100%; background: var(--faint); border-radius: .25rem; image-rendering: pixelated; }
.ink { height: 100%; background: none; image-rendering: auto; touch-action: none; cursor: crosshair; outline: none; }
.hint { position: absolute; bottom: .5rem; width: 100%; text-align: center; pointer-events: none; }
.pen { position: absolute; width: 7%; height: 7%; margin: -3.5%; border: 2px solid var(--own); border-radius: 50%;
  pointer-events: none; visibility: hidden; }
.pen.down { background: var(--own); }
.ink:focus-visible ~ .pen { visibility: visible; }
.surface:has(:focus-visible), :is(button, select):focus-visible { outline: 3px solid var(--own); outline-offset: 2px; }
.row, .samples { display: grid; grid-template-columns: repeat(5, 1fr); gap: .5rem; }
.row { grid-template-columns: 1fr 1fr; }
button, select { width: 100%; min-height: 2.5rem; padding: 0 .5rem; border: 1px solid var(--line);
  border-radius: .375rem; font: inherit; color: inherit; background: transparent; }
button { cursor: pointer; }
button:hover { background: var(--faint); }
option { color: CanvasText; background: Canvas; }
.said { display: flex; align-items: center; gap: .75rem; height: 3.5rem; }
.digit { font-size: 3.5rem; line-height: 1; font-weight: 600; }
.digit:empty { display: none; }
.bars { list-style: none; display: grid; gap: .1875rem; }
.bars li { display: grid; grid-template-columns: 1rem 1fr 4.5rem; gap: .5rem; align-items: center; }
.track { height: .875rem; background: var(--faint); border-radius: .1875rem; overflow: hidden; }
.bar { height: 100%; background: var(--own); transform-origin: left; transform: scaleX(0); }
.share { text-align: right; }
.first { font-weight: 700; }
.small { font-size: .875rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.seen { width: 8.75rem; }
label { display: grid; gap: .25rem; }
@media (hover: none) { #keys { display: none; } }
@media (forced-colors: active) { .bar { background: Highlight; } }
`;

const samples = [...'0123456789'].map(o => `<button type="button" aria-label="Sample digit ${o}">${o}</button>`);
const bars = [...'0123456789'].map(o => `<li><span>${o}</span>
  <div class="track" aria-hidden="true"><div class="bar"></div></div><span class="share"></span></li>`);

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
    <p class="small" id="keys">With the keyboard: arrows move the pen, space sets it down and lifts it, backspace takes
      back a stroke, delete clears.</p>
  </div>
  <div>
    <p class="said"><span class="digit"></span><span class="words"></span></p>
    <p class="unseen spoken" role="status"></p>
    <ol class="bars" role="list" aria-label="Probability of each digit">${bars.join('')}</ol>
    <p id="or">Or take a sample:</p>
    <div class="samples" role="group" aria-labelledby="or">${samples.join('')}</div>
  </div>
  <div>
    <label class="network">Network <select class="networks"></select></label>
    <p class="small about"></p>
    <p id="sees">What it sees:</p>
    <canvas class="seen" width="28" height="28" role="img" aria-labelledby="sees"></canvas>
    <label>What a layer makes of that <select class="layers"></select></label>
    <canvas class="maps" role="img" aria-label="The maps of that layer"></canvas>
  </div>
</div>
`;
