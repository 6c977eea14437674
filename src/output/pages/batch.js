const find = document.querySelector('.find');
const cards = [...document.querySelectorAll('[data-name]')].map(e => ({
  e, name: e.dataset.name.toLowerCase(), label: e.dataset.label, unsure: e.classList.contains('unsure')
}));
const groups = [...document.querySelectorAll('section[data-group]')];
let waiting;
function show() {
  const words = find.words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const label = find.label.value, unsure = find.unsure ? find.unsure.checked : false;
  let shown = 0;
  for (const c of cards) {
    const fits = words.every(w => c.name.includes(w)) && (!label || c.label === label) && (!unsure || c.unsure);
    if (c.e.hidden === fits) c.e.hidden = !fits;
    shown += fits;
  }
  for (const g of groups) g.hidden = !g.querySelector('[data-name]:not([hidden])');
  find.shown.value = shown === cards.length ? '' : shown + ' of ' + cards.length + ' shown';
}
find.addEventListener('input', () => { clearTimeout(waiting); waiting = setTimeout(show, 80); });
find.addEventListener('submit', event => { event.preventDefault(); show(); });
