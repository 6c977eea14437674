// From the labels to a model.
import * as outbox from './outbox.js';
import { by } from './words.js';

let asked = false;

export function begin() {
  by('finish').showModal();
  if (asked) return;
  asked = true;
  show({ state: 'running', doing: 'beginning', share: 0 });
  outbox.post('finish', {}).catch(error => show({ state: 'failed', reason: error.message }));
}

export function show(state) {
  if (state.state === 'idle') return;
  const running = state.state === 'running', done = state.state === 'done';
  asked = running;
  by('finish-bar').hidden = !running;
  by('finish-done').hidden = !done;
  if (running) {
    by('finish-doing').textContent = state.doing[0].toUpperCase() + state.doing.slice(1) + ' …';
    by('finish-bar').value = state.share;
  } else if (done) {
    by('finish-doing').textContent = 'The list and the model are written.';
    by('finish-summary').textContent = state.summary;
    by('finish-folder').textContent = state.folder;
    by('finish-command').textContent = state.command;
  } else {
    by('finish-doing').textContent = 'No model was made: ' + state.reason;
  }
  by('finish-button').textContent = running ? 'Finishing …' : 'Finish';
}
