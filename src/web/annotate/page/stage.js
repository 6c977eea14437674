// The clip to be labelled, and those that come after it.
import * as clips from './clips.js';
import * as labels from './labels.js';
import * as outbox from './outbox.js';
import { by, element, short, whole } from './words.js';

// Clips that are asked for ahead.
const AHEAD = 5;

const slots = [...document.querySelectorAll('.slot')];
let on = 0;
// The clip that is shown first, then those that follow.
let offers = [];
// What this page did, for undo: the offer that was answered, or what else it was.
const past = [];
// Called after each answer: whether something else is to be shown now.
let after = () => false;
export const afterAnswer = call => { after = call; };

const WHY = {
  typical: 'many clips look like this one',
  unsure: 'among those that the model is least sure of',
  test: 'drawn at random for the test',
  check: 'look again',
};

export async function refill() {
  if (outbox.waiting()) return;
  let found;
  try { found = await outbox.get('next', { reader: outbox.reader, count: AHEAD }); } catch { return; }
  if (outbox.waiting()) return;
  // The program has heard all that was said, so that what it offers is open.
  // What is looked at stays, and what undo brought back comes before anything new.
  const kept = offers.filter((offer, place) => !place || offer.isBack);
  offers = [...kept, ...found.filter(offer => kept.every(other => other.id !== offer.id))];
  show();
}

outbox.onDrained(refill);

// Brings what is on the stage in line with the offers.
let since = 0;
function show() {
  const [first, next] = offers;
  caption(first);
  if (!first) {
    for (const slot of slots) { slot.dataset.clip = ''; clips.empty(slot.children[0]); slot.children[1].hidden = true; }
    return;
  }
  if (slots[on].dataset.clip !== first.id) {
    if (slots[1 - on].dataset.clip === first.id) {
      on = 1 - on;
      slots.forEach((slot, i) => slot.classList.toggle('on', i === on));
      slots[1 - on].children[0].pause();
    } else {
      put(slots[on], first);
    }
    const slot = slots[on];
    slot.loading.then(() => begin(slot));
  }
  if (next && slots[1 - on].dataset.clip !== next.id) put(slots[1 - on], next);
  for (const offer of offers.slice(2)) clips.load(offer);
}

function put(slot, offer) { slot.loading = clips.put(slot, offer, '', () => begin(slot)); }

// Plays what is in a slot, where that is what the person looks at by now.
function begin(slot) {
  if (slot === slots[on] && slot.dataset.clip === offers[0]?.id && !by('label').hidden) start();
}

function start() {
  const video = slots[on].children[0];
  clips.play(video);
  const begun = since;
  if (begun) {
    // How long it took from the key to the first picture, for whoever measures it.
    video.requestVideoFrameCallback?.(() => performance.measure('key to clip', { start: begun, end: performance.now() }));
    since = 0;
  }
}

let empty = '';
// Says what there is where there is no clip.
export function nothing(text) {
  empty = text;
  if (!offers.length) caption();
}

function caption(offer) {
  const [, , text] = slots[on].children;
  by('stage').classList.toggle('empty', !offer);
  if (!offer) {
    text.hidden = false;
    text.textContent = empty;
    by('name').textContent = by('why').textContent = '';
    return;
  }
  by('name').textContent = short(offer);
  by('name').title = offer.name;
  const why = by('why');
  why.replaceChildren(offer.why === 'check' && offer.label
    ? `you said ${offer.label}: look again` : WHY[offer.why] ?? '');
  if (offer.guess) {
    why.append(' \u00b7 ', element('em', { textContent: offer.guess.label }), ' ' + whole(offer.guess.score));
  }
}

// Takes down what the clip on the stage shows.
export function answer(verdict) {
  const offer = offers.shift();
  if (!offer) return;
  // Where there is no other clip yet, it is not the page that one waits for.
  since = offers.length ? window.event?.timeStamp ?? performance.now() : 0;
  past.push(offer);
  if (past.length > 200) past.shift();
  const text = verdict.label ?? verdict;
  outbox.post('label', { id: offer.id, verdict });
  by('said').textContent = text + ': ' + short(offer);
  if (verdict.label && !labels.all().includes(verdict.label)) {
    labels.set([...labels.all(), verdict.label]);
    buttons();
  }
  flash(text);
  if (!after()) show();
  else slots[on].children[0].pause();
}

function flash(text) {
  const old = by('stage').querySelector('.flash');
  old?.remove();
  by('stage').append(element('span', { className: 'flash', textContent: text, ariaHidden: 'true' }));
}

// Remembers something else that this page did and undo takes back.
export function did(what) { past.push({ what }); }

export async function undo() {
  const last = past.pop();
  if (last?.id && outbox.unsay(last.id)) {
    back(last);
    return;
  }
  if (last?.id) back(last);
  let ids;
  try { ids = await outbox.post('undo', {}); } catch { return; }
  if (!ids.length) {
    by('said').textContent = 'nothing to undo';
    flash('nothing to undo');
  } else if (!last?.id) {
    // Of an earlier load of this page, or something else than one clip.
    flash('undone');
    by('said').textContent = 'undone' + (last?.what ? ': ' + last.what : '');
    if (ids.length === 1 && !last) {
      const clip = await outbox.get('clips/' + ids[0]);
      back({ ...clip, why: 'undone' });
    }
  }
}

function back(offer) {
  offer.isBack = true;
  offers = [offer, ...offers.filter(other => other.id !== offer.id)];
  by('said').textContent = 'undone: ' + short(offer);
  flash('undone');
  show();
}

// The buttons of the labels.
export function buttons() {
  by('keys').replaceChildren(...labels.all().map(label => {
    const button = element('button', { type: 'button' }, label + ' ', ...labels.keysOf(label).map(key => element('kbd', { textContent: key })));
    button.onclick = event => { answer({ label }); release(event); };
    return button;
  }));
}

// A clicked button, or what is in it, would answer to Enter and the space bar from then on.
export function release(event) { if (event.detail) document.activeElement?.blur(); }

export async function type() {
  if (!offers.length) return;
  const label = await labels.ask('Which label?');
  if (label) answer({ label });
}

// Asks again while there is too little.
export function tick() { if (offers.length < 2) refill(); }

export function resume() {
  show();
  clips.play(slots[on].children[0]);
}

export function halt() { slots.forEach(slot => slot.children[0].pause()); }
