// Clips that the model takes for one class: the wrong ones are clicked, the rest is confirmed.
import * as labels from './labels.js';
import * as outbox from './outbox.js';
import * as stage from './stage.js';
import * as tiles from './tiles.js';
import { by, count, element, short, whole } from './words.js';

let grid = null, since = 0, more = false;
// Called when the person is through.
let close = () => {};
export const onClose = call => { close = call; };

// The grid of a label, or the one that the program wants; whether there is one.
export async function fetchGrid(label) {
  try { return await outbox.get('grid', { label }); } catch { return null; }
}

// Shows what was found, or says why there is nothing, where `label` was asked for; `one`: labelling goes on after it.
export function open(found, label, one = false) {
  grid = found;
  more = !one;
  since = performance.now();
  labels.fill(by('grid-label'), ['', 'choose …']);
  by('grid-label').value = '=' + (grid?.label ?? label ?? '');
  if (by('grid-label').selectedIndex < 0) by('grid-label').value = '';
  if (!grid?.clips.length) {
    grid = null;
    tiles.clear(by('grid-clips'));
    by('grid-title').textContent = 'Confirm many at once';
    by('grid-note').textContent = label ? `The model is sure of no more clips of ${label} so far.`
      : labels.all().length ? 'Choose a label: the clips that the model takes for it are shown. It has to have learned some first.'
      : 'Label some clips first: then the model shows here what it takes for each label.';
    by('confirm').replaceChildren('Confirm ', element('kbd', { textContent: 'Enter' }));
    by('confirm').disabled = true;
    return;
  }
  by('grid-title').replaceChildren('Are these all ', element('em', { textContent: grid.label }), '?');
  by('grid-note').textContent = `${count(grid.clips.length, 'clip')}, the surest first. Click those that aren\u2019t.`;
  by('confirm').disabled = false;
  tiles.show(by('grid-clips'), grid.clips.map(tile));
  tally();
}

function tile(clip) {
  const made = element('button', { type: 'button', className: 'tile-of-clip', ariaPressed: 'false', title: clip.name, clip },
    tiles.place(), element('span', { className: 'line', textContent: short(clip) }),
    clip.guess ? element('span', { className: 'score', textContent: whole(clip.guess.score) }) : null);
  made.setAttribute('aria-label', 'wrong: ' + short(clip));
  made.onclick = event => {
    made.ariaPressed = String(made.ariaPressed !== 'true');
    tally();
    stage.release(event);
  };
  return made;
}

const marked = () => [...by('grid-clips').children].filter(tile => tile.ariaPressed === 'true').map(tile => tile.clip.id);

function tally() {
  const right = grid.clips.length - marked().length;
  by('confirm').replaceChildren(right ? `Confirm ${right} ` : 'None of them ', element('kbd', { textContent: 'Enter' }));
}

export async function confirm() {
  // An Enter that was meant for what stood here before.
  if (!grid || performance.now() - since < 500) return;
  const wrong = marked();
  const right = grid.clips.map(clip => clip.id).filter(id => !wrong.includes(id));
  const { label } = grid;
  grid = null;
  by('confirm').disabled = true;
  stage.did(`${right.length} times ${label}`);
  by('said').textContent = `${label}: ${right.length} confirmed, ${wrong.length} not`;
  try { await outbox.post('grid', { label, right, wrong }); } catch { /* said above the page */ }
  const next = more && await fetchGrid();
  if (next) open(next);
  else close();
}

export function leave() { tiles.clear(by('grid-clips')); grid = null; }

by('confirm').onclick = confirm;
by('grid-label').onchange = async event => {
  const label = labels.chosen(event.target);
  if (label === null) return;
  open(await fetchGrid(label), label);
  // Enter is to confirm what came.
  by('grid-label').blur();
};
