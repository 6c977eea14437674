// Labels and the keys that give them.
import { by, element } from './words.js';

// Letters with a meaning of their own.
const TAKEN = 'nsbup';

let labels = [], keys = new Map();

export const all = () => labels;

// The label that a key gives.
export const of = key => keys.get(key);

// Each label has a digit, as long as there are some, and the first letter of its name that is free.
export function set(names) {
  if (names.join('\n') === labels.join('\n') && keys.size) return false;
  labels = names;
  keys = new Map();
  names.forEach((name, place) => {
    if (place < 9) keys.set(String(place + 1), name);
    const letter = [...name.toLowerCase()].find(c => c.length === 1 && /\p{L}/u.test(c) && !TAKEN.includes(c) && !keys.has(c));
    if (letter) keys.set(letter, name);
  });
  by('known').replaceChildren(...names.map(name => element('option', { value: name })));
  return true;
}

// The keys of a label, to be shown.
export const keysOf = name => [...keys].filter(([, label]) => label === name).map(([key]) => key.toUpperCase());

// Asks for a label; null where none is given.
export function ask(title, { note = '', value = '' } = {}) {
  const dialog = by('ask');
  by('ask-title').textContent = title;
  by('ask-note').textContent = note;
  by('ask-text').value = value;
  dialog.returnValue = '';
  dialog.showModal();
  by('ask-text').select();
  return new Promise(resolve => {
    dialog.onclose = () => {
      const text = by('ask-text').value.trim();
      resolve(dialog.returnValue === 'yes' && text ? text : null);
    };
  });
}

by('ask-cancel').onclick = () => by('ask').close('');

// Options for a choice of labels, after those that are given.
export function fill(select, ...first) {
  const chosen = select.value;
  const options = labels.map(name => element('option', { value: '=' + name, textContent: name }));
  select.replaceChildren(...first.map(([value, textContent]) => element('option', { value, textContent })), ...options);
  if ([...select.options].some(option => option.value === chosen)) select.value = chosen;
}

// The label that a choice of `fill` means.
export const chosen = select => select.value.startsWith('=') ? select.value.slice(1) : null;
