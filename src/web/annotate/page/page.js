// The page as a whole: its parts, its keys, and what the program has to tell.
import * as clips from './clips.js';
import * as find from './find.js';
import * as finish from './finish.js';
import * as grid from './grid.js';
import * as labels from './labels.js';
import * as outbox from './outbox.js';
import * as progress from './progress.js';
import * as stage from './stage.js';
import * as tiles from './tiles.js';
import { by } from './words.js';

const views = ['label', 'grid', 'find'];
let view = 'label';

function go(to, open = true) {
  if (view === 'grid') grid.leave();
  if (view === 'find') find.leave();
  view = to;
  if (to === 'grid') { asks++; expect(null); }
  for (const name of views) by(name).hidden = name !== to;
  for (const button of document.querySelectorAll('[data-view]')) {
    if (button.dataset.view === to) button.setAttribute('aria-current', 'page');
    else button.removeAttribute('aria-current');
  }
  if (to === 'label') stage.resume(); else stage.halt();
  if (to === 'grid' && open) grid.fetchGrid().then(found => view === 'grid' && grid.open(found));
  if (to === 'find' && open) find.open();
}

for (const button of document.querySelectorAll('[data-view]')) {
  button.onclick = event => { go(button.dataset.view); stage.release(event); };
}
grid.onClose(() => go('label'));
by('later').onclick = () => go('label');
progress.onLabel({
  async grid(label) {
    const found = await grid.fetchGrid(label);
    go('grid', false);
    grid.open(found, label);
  },
  clips(label) { go('find', false); find.only(label); }
});

// After a round, once the model has learned from it, a grid waits for the next answer: it never comes up under a key
// that was meant for a clip.
let round = null, ended = false, due = null;
// One that is being fetched is no longer wanted once the person opened one.
let asks = 0;
function expect(found) {
  due = found;
  document.querySelector('[data-view=grid]').toggleAttribute('data-due', Boolean(due));
}
stage.afterAnswer(() => {
  if (!due) return false;
  const found = due;
  go('grid', false);
  grid.open(found, found.label, true);
  return true;
});

let version;
async function look() {
  let news;
  try {
    news = await outbox.get('status', { since: version });
  } catch (error) {
    outbox.unheard(error);
    return;
  }
  outbox.heard();
  const { status, changes } = news;
  version = status.version;
  const names = status.labels.map(([label]) => label);
  // A label that was just typed is known here first.
  if (!outbox.waiting() && labels.set(names)) { stage.buttons(); find.relabelled(); }
  progress.show(status);
  finish.show(news.finish);
  find.changed(changes);
  stage.nothing(nothing(status));
  ended ||= round !== null && status.round > round;
  round = status.round;
  if (ended && !status.training) {
    ended = false;
    const ask = ++asks;
    grid.fetchGrid().then(found => ask === asks && expect(found));
  }
  stage.tick();
}

function nothing({ total, ready, labelled, skipped, broken, trouble }) {
  if (trouble) return '';
  if (labelled + skipped + broken >= total) return 'Every clip has its answer. Press Finish for the model.';
  return ready ? 'The next clips are being chosen …' : 'Looking at the first clips …';
}

async function watch() {
  for (;;) {
    await look();
    await new Promise(wake => setTimeout(wake, 1000));
  }
}

function undo() {
  if (view === 'grid') go('label');
  stage.undo();
}

const buttons = {
  new: stage.type, skip: () => stage.answer('skip'), broken: () => stage.answer('broken'), undo, pause,
  'help-button': () => by('help').showModal(), 'finish-button': finish.begin
};
for (const [id, call] of Object.entries(buttons)) by(id).onclick = event => { call(); stage.release(event); };

function pause() {
  clips.pause(!clips.paused);
  by('pause').ariaPressed = String(clips.paused);
  if (clips.paused) stage.halt();
  else if (view === 'label') stage.resume();
  tiles.pause();
}

const keys = { n: stage.type, '/': stage.type, s: buttons.skip, b: buttons.broken };

document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || document.querySelector('dialog[open]')) return;
  if (event.target.closest('input, select, textarea')) {
    if (event.key === 'Escape') event.target.blur();
    return;
  }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  let call;
  if (key === '?') call = buttons['help-button'];
  else if (key === 'p') call = pause;
  else if (key === 'u') call = undo;
  else if (key === 'Escape' && view !== 'label') call = () => go('label');
  // A button with the focus answers to Enter itself.
  else if (key === 'Enter' && view === 'grid' && !event.target.closest('button')) call = grid.confirm;
  else if (view === 'label') {
    const label = labels.of(key);
    call = keys[key] ?? (label !== undefined ? () => stage.answer({ label }) : undefined);
  }
  if (!call) return;
  event.preventDefault();
  call();
});

watch();
stage.refill();
