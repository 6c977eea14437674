// Clips by name, by label, by looks; and mending what was said of them.
import * as labels from './labels.js';
import * as outbox from './outbox.js';
import * as stage from './stage.js';
import * as tiles from './tiles.js';
import { by, count, element, short, whole } from './words.js';

const PAGE = 48;
const form = by('search');
let like = null, asked = 0, waiting, shown = 0;

function query() {
  return { text: form.text.value, label: labels.chosen(form.label), standing: form.standing.value, like: like?.id };
}

export async function search(more = false) {
  const turn = ++asked;
  if (!more) shown = 0;
  let found;
  try { found = await outbox.get('clips', { ...query(), skip: shown, count: PAGE }); } catch { return; }
  if (turn !== asked) return;
  by('found').textContent = count(found.total, 'clip') + (like ? ', the most alike first' : '');
  by('like').hidden = !like;
  if (like) by('like').textContent = 'like ' + short(like) + ' \u00d7';
  (more ? tiles.add : tiles.show)(by('find-clips'), found.clips.map(tile));
  shown += found.clips.length;
  by('more').hidden = shown >= found.total;
}

export function open() {
  choices();
  search();
}

export function choices() { labels.fill(form.label, ['', 'any']); }

function tile(clip) {
  const choice = element('select', { ariaLabel: 'label of ' + short(clip) });
  const alike = element('button', { type: 'button', textContent: 'alike', title: 'Clips that look like this one' });
  alike.disabled = !clip.ready;
  alike.onclick = () => { like = clip; form.reset(); search(); };
  const made = element('div', { className: 'tile-of-clip', clip }, tiles.place(),
    element('span', { className: 'line', textContent: short(clip), title: clip.name }),
    element('span', { className: 'mend' }, choice, alike));
  choice.onchange = async () => {
    let label = labels.chosen(choice);
    if (choice.value === 'new') label = await labels.ask('Which label?');
    const verdict = label !== null ? { label } : ['skip', 'broken'].includes(choice.value) ? choice.value : null;
    if (!verdict) return update(made, made.clip);
    stage.did(short(clip));
    by('said').textContent = (label ?? choice.value) + ': ' + short(clip);
    outbox.post('label', { id: clip.id, verdict }).catch(() => {});
  };
  update(made, clip);
  return made;
}

// Shows how a clip stands by now.
function update(made, clip) {
  made.clip = clip;
  const choice = made.querySelector('select');
  const guess = clip.guess ? ` (${clip.guess.label} ${whole(clip.guess.score)}?)` : '';
  labels.fill(choice, ['', 'no label' + (clip.standing === 'open' ? guess : '')], ['new', 'new label …'], ['skip', 'skipped'], ['broken', 'broken']);
  choice.value = { labelled: '=' + clip.label, skipped: 'skip', broken: 'broken' }[clip.standing] ?? '';
  made.dataset.standing = clip.standing;
}

// Brings tiles that are shown in line with what any page said.
export function changed(clips) {
  const news = new Map(clips.map(clip => [clip.id, clip]));
  for (const made of by('find-clips').children) {
    const clip = news.get(made.clip.id);
    if (clip) update(made, clip);
  }
}

export function relabelled() {
  choices();
  for (const made of by('find-clips').children) update(made, made.clip);
}

export function leave() { tiles.clear(by('find-clips')); }

// The clips with one label.
export function only(label) {
  form.reset();
  like = null;
  choices();
  form.label.value = '=' + label;
  search();
}

form.oninput = () => { clearTimeout(waiting); waiting = setTimeout(search, 150); };
form.onsubmit = event => { event.preventDefault(); search(); };
by('like').onclick = () => { like = null; search(); };
by('more').onclick = () => search(true);
