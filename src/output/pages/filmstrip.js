// S turns all filmstrips: natural colours, what the network saw.
addEventListener('keydown', event => {
  const typing = event.target.closest('input:not([type=checkbox]), select');
  if (event.key.toLowerCase() !== 's' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const boxes = [...document.querySelectorAll('.look input')];
  const turn = boxes.some(box => !box.checked);
  for (const box of boxes) box.checked = turn;
});
