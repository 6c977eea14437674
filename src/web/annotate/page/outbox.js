// What was said goes to the program in order, and waits here while the program doesn't answer. It survives a reload.
import { by, count } from './words.js';

// This page, to the program: what it undoes is what this page did.
export const reader = sessionStorage.reader ||= crypto.randomUUID();

const queue = JSON.parse(sessionStorage.outbox || '[]');
let sending = false, lost = false;
// Called after an answer of the program that all was received.
let drained = () => {};
export const onDrained = call => { drained = call; };

export const waiting = () => queue.length;

class Refused extends Error {}

async function ask(path, options) {
  const answer = await fetch('/api/' + path, options);
  if (answer.ok) return answer.json();
  if (answer.status === 401) throw new Error('The program was started anew: open the address that it prints.');
  const text = await answer.text();
  let reason = text;
  try { reason = JSON.parse(text).error; } catch { /* not from the program itself */ }
  throw new Refused(reason);
}

export async function get(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '');
  return ask(path + '?' + new URLSearchParams(given));
}

// What is said of clips is sent again until it is received; it says the same however often it comes. The program tells by
// `answer` that a label came before.
export function post(path, body) {
  const entry = { path, body: { ...body, reader, answer: crypto.randomUUID() } };
  const sent = new Promise((resolve, reject) => Object.defineProperty(entry, 'sent', { value: { resolve, reject } }));
  sent.catch(() => {});
  queue.push(entry);
  keep();
  send();
  return sent;
}

// Takes back the last entry, where it is about this clip and wasn't sent yet.
export function unsay(id) {
  const last = queue[queue.length - 1];
  // The first is on its way.
  if (queue.length < 2 || last.path !== 'label' || last.body.id !== id) return false;
  queue.pop();
  keep();
  return true;
}

function keep() { sessionStorage.outbox = JSON.stringify(queue); }

export function trouble(text) {
  by('trouble').hidden = !text;
  by('trouble').textContent = text || '';
}

export function heard() {
  if (lost && !queue.length) { lost = false; trouble(''); }
}

export function unheard(error) {
  lost = true;
  const why = error instanceof TypeError ? 'The program doesn\u2019t answer: was it ended? Start it again, with --port '
    + (location.port || 80) + ', and open the address that it prints.' : error.message;
  trouble(why + (queue.length ? ' ' + count(queue.length, 'answer') + (queue.length === 1 ? ' waits' : ' wait')
    + ' in this page and will be sent then.' : ''));
}

async function send() {
  if (sending) return;
  sending = true;
  while (queue.length) {
    const entry = queue[0];
    try {
      const answer = await ask(entry.path, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(entry.body)
      });
      queue.shift();
      keep();
      entry.sent?.resolve(answer);
    } catch (error) {
      if (error instanceof Refused) {
        queue.shift();
        keep();
        trouble(error.message);
        entry.sent?.reject(error);
      } else if (entry.path === 'undo') {
        // Sent twice it would take back two.
        queue.shift();
        keep();
        entry.sent?.reject(error);
        unheard(new Error('Undo may not have reached the program.'));
      } else {
        unheard(error);
        await new Promise(wake => setTimeout(wake, 1000));
      }
    }
  }
  sending = false;
  heard();
  drained();
}

addEventListener('beforeunload', event => { if (queue.length) event.preventDefault(); });

// What an earlier load of this page left.
if (queue.length) send();
