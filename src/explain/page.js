'use strict';

// The data that generate --explain wrote (README.md lists its members). The page shows one token, one head, one
// checkpoint and one candidate for the next token at a time; show() draws whatever depends on them.
const data = JSON.parse(document.getElementById('data').textContent);
const tokens = data.tokens;
const chosen = { token: tokens.length - 1, head: 0, checkpoint: data.checkpoints.length - 1, candidate: null };

// ---- Helpers ----------------------------------------------------------------------------------------------

const find = (id) => document.getElementById(id);

/** A new element. Texts become text nodes, so no text of the data is ever parsed as HTML. */
function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name === 'class') element.className = value;
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/** Characters that cannot be seen get a sign: a space is a dot. */
function visible(text) {
  const signs = { ' ': '·', '\n': '⏎', '\t': '⇥', '\r': '␍' };
  const hidden = /[ \n\t\r]|[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
  return text.replace(hidden, (c) => signs[c] || `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`) || '∅';
}

const text = (id) => visible(data.vocabulary[id]);
const quoted = (id) => JSON.stringify(data.vocabulary[id]);
const code = (id) => make('span', { class: 'text' }, text(id));
const percent = (p) => (p > 0 && p < 0.0005 ? '< 0.1 %' : p >= 0.0995 ? `${Math.round(100 * p)} %` : `${(100 * p).toFixed(1)} %`);
const short = (x) => Number(x.toPrecision(2));
const signed = (x) => (x < 0 ? '−' : '+') + Math.abs(x).toFixed(2);
const checkpoint = () => data.checkpoints[chosen.checkpoint];
const position = () => checkpoint().positions[chosen.token];

/** The weights of row i of a head, [i+1]. */
function weightsOf(head, i) {
  const row = head.rows[i];
  const weights = new Array(i + 1).fill(0);
  if (data.attention_rows === 'all') row.forEach((w, j) => { weights[j] = w * data.attention_unit; });
  else for (let n = 0; n < row.length; n += 2) weights[row[n]] = row[n + 1] * data.attention_unit;
  return weights;
}

/** A bar as long as this share of what is around it. */
function bar(share, className) {
  const element = make('span', { class: `bar ${className || ''}` });
  element.style.width = `${(100 * Math.min(1, share)).toFixed(1)}%`;
  return element;
}

const track = (share) => make('span', { class: 'track' }, bar(share));

function headerRow(names) {
  return make('thead', {}, make('tr', {}, ...names.map((name) => (name instanceof Node ? name : make('th', { scope: 'col' }, name)))));
}

/** Makes radio buttons of `buttons`: one of them is chosen, and the arrow keys choose another. */
function radioGroup(group, buttons, index, choose) {
  group.replaceChildren(...buttons);
  const select = (i, focus) => {
    buttons.forEach((button, n) => {
      button.setAttribute('aria-checked', String(n === i));
      button.tabIndex = n === i ? 0 : -1;
    });
    if (focus) buttons[i].focus();
    buttons[i].scrollIntoView({ block: 'nearest', inline: 'nearest' });
  };
  buttons.forEach((button, i) => {
    button.setAttribute('role', 'radio');
    button.setAttribute('type', 'button');
    button.addEventListener('click', () => { select(i); choose(i); });
    button.addEventListener('keydown', (event) => {
      const to = { ArrowLeft: i - 1, ArrowUp: i - 1, ArrowRight: i + 1, ArrowDown: i + 1, Home: 0, End: buttons.length - 1 }[event.key];
      if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      const next = Math.max(0, Math.min(buttons.length - 1, to));
      select(next, true);
      choose(next);
    });
    button.setAttribute('aria-checked', String(i === index));
    button.tabIndex = i === index ? 0 : -1;
  });
  return select;
}

// ---- The text ---------------------------------------------------------------------------------------------

let selectToken;

function drawTokens() {
  const buttons = tokens.map((id, t) => {
    const isDrawn = t >= data.prompt_tokens;
    return make('button', { class: isDrawn ? 'text drawn' : 'text', 'aria-label': `token ${t}: ${quoted(id)}${isDrawn ? ', drawn' : ''}` }, text(id));
  });
  selectToken = radioGroup(find('tokens'), buttons, chosen.token, (t) => { chosen.token = t; show(); });
}

function drawFacts() {
  const m = data.model;
  const count = (n) => n.toLocaleString('en-US');
  const drawn = tokens.length - data.prompt_tokens;
  find('facts').textContent = `${m.name}: ${count(m.parameters)} parameters, V=${m.vocab_size} S=${m.seq} E=${m.dim} ` +
    `H=${m.heads} L=${m.layers} F=${m.ff}. ${tokens.length} tokens of ${count(data.bytes)} bytes` +
    `${drawn > 0 ? `; the model drew the last ${drawn}, with a dashed frame` : ''}. The arrow keys choose a token.`;
}

/** How well the model guesses this text at a checkpoint. */
function guesses(c) {
  const all = c.positions.slice(0, -1);
  const right = all.filter((p, t) => p.likeliest[0][0] === tokens[t + 1]).length;
  const loss = -all.reduce((sum, p) => sum + p.next_logprob, 0) / all.length;
  return { right, of: all.length, loss };
}

function drawTraining() {
  if (data.checkpoints.length < 2) return;
  find('training').hidden = false;
  const slider = find('step');
  slider.max = data.checkpoints.length - 1;
  slider.value = chosen.checkpoint;
  slider.addEventListener('input', () => { chosen.checkpoint = Number(slider.value); show(); });
}

function showTraining() {
  const { right, of, loss } = guesses(checkpoint());
  const score = of > 0 ? `: ${right} of ${of} first guesses right, loss ${loss.toFixed(2)}` : '';
  find('progress').textContent = `${checkpoint().step}${score}`;
  find('step').setAttribute('aria-valuetext', `step ${checkpoint().step}`);
}

// ---- 1. Merges --------------------------------------------------------------------------------------------

function showMerges() {
  const id = tokens[chosen.token];
  const steps = data.merges[id];
  const bytes = steps.length + 1;
  find('merges-text').replaceChildren(`Token ${chosen.token} is id ${id}, `, code(id), steps.length > 0
    ? `. It starts as ${bytes} bytes. Each line joins the pair whose merge was learned first.`
    : '. No merge made it: it is a single byte, a special token, or a token that no merges lead to.');
  find('merges').replaceChildren(...steps.map(({ rank, at, pieces }) => make('li', { class: 'pieces text' },
    ...pieces.map((piece, i) => make(i === at ? 'mark' : 'span', {}, visible(piece))),
    make('span', { class: 'soft' }, `merge ${rank}`))));
}

// ---- 2. The logit lens ------------------------------------------------------------------------------------

function showLens() {
  const { lens } = checkpoint();
  const places = data.places.map((name, i) => ({ name, columns: lens[i] })).reverse();
  const cell = (column, t) => {
    const [id, p] = column[0];
    const td = make('td', { class: `text shade ${t === chosen.token ? 'chosen' : ''} ${id === tokens[t + 1] ? 'right' : ''}`, title: `${text(id)} ${percent(p)}` }, text(id));
    td.style.setProperty('--p', p);
    return td;
  };
  find('lens').replaceChildren(make('tbody', {},
    ...places.map(({ name, columns }) => make('tr', {}, make('th', { scope: 'row' }, `after ${name}`), ...columns.map(cell))),
    make('tr', {}, make('th', { scope: 'row' }, 'token'),
      ...tokens.map((id, t) => make('td', { class: `text ${t === chosen.token ? 'chosen' : ''}` }, text(id))))));
  const column = find('lens').querySelector('.chosen');
  const scroll = find('lens-scroll');
  scroll.scrollLeft = column.offsetLeft - scroll.clientWidth / 2;

  find('lens-text').replaceChildren(`The five likeliest after token ${chosen.token}, `, code(tokens[chosen.token]), ', at every place:');
  find('lens-token').replaceChildren(make('tbody', {}, ...places.map(({ name, columns }) => make('tr', {},
    make('th', { scope: 'row' }, `after ${name}`),
    ...columns[chosen.token].map(([id, p]) => {
      const td = make('td', { class: 'shade' }, code(id), ` ${percent(p)}`);
      td.style.setProperty('--p', p);
      return td;
    })))));
}

// ---- 3. Attention -----------------------------------------------------------------------------------------

/** Draws a head as a picture of T x T points: the darker, the larger the weight. */
function paint(canvas, head) {
  const T = tokens.length;
  canvas.width = T;
  canvas.height = T;
  const rgb = getComputedStyle(document.documentElement).getPropertyValue('--accent').trim().split(/\s+/).map(Number);
  const context = canvas.getContext('2d');
  const image = context.createImageData(T, T);
  for (let i = 0; i < T; i += 1) {
    weightsOf(head, i).forEach((w, j) => image.data.set([...rgb, Math.round(255 * Math.sqrt(w))], 4 * (i * T + j)));
  }
  context.putImageData(image, 0, 0);
}

const habitOf = (head) => (head.habit === 'spread out' ? head.habit : `${head.habit} ${percent(head.share)}`);

function drawHeads() {
  const buttons = checkpoint().heads.map(({ layer, head }) => make('button', {},
    `layer ${layer} head ${head}`, make('canvas', { 'aria-hidden': 'true' }), make('span', { class: 'habit' })));
  radioGroup(find('heads'), buttons, chosen.head, (h) => { chosen.head = h; showHead(); });
}

let painted = null;

function showHeads() {
  if (painted === checkpoint()) return;
  painted = checkpoint();
  [...find('heads').children].forEach((button, h) => {
    paint(button.querySelector('canvas'), painted.heads[h]);
    button.querySelector('.habit').textContent = habitOf(painted.heads[h]);
  });
}

function showHead() {
  const head = checkpoint().heads[chosen.head];
  const weights = weightsOf(head, chosen.token);
  find('head-title').replaceChildren(`Layer ${head.layer}, head ${head.head}: where token ${chosen.token}, `, code(tokens[chosen.token]), ', looks');
  find('head-text').replaceChildren(...tokens.map((id, t) => {
    const shown = data.vocabulary[id].replace(/\n/g, '⏎\n');
    const span = make('span', { class: t < weights.length ? 'text shade' : 'text soft' }, shown);
    if (t < weights.length) span.style.setProperty('--p', Math.sqrt(weights[t]));
    return span;
  }));
  const largest = weights.map((w, t) => ({ w, t })).sort((a, b) => b.w - a.w).slice(0, 8);
  find('head-bars').replaceChildren(make('tbody', {}, ...largest.map(({ w, t }) => make('tr', {},
    make('th', { scope: 'row' }, `${t} `, code(tokens[t])), make('td', {}, track(w / largest[0].w)), make('td', { class: 'number' }, percent(w))))));
}

// ---- 4. The next token and its votes ----------------------------------------------------------------------

function showNext() {
  const next = tokens[chosen.token + 1];
  find('next-title').replaceChildren(`After token ${chosen.token}, `, code(tokens[chosen.token]));
  const s = data.sampling;
  const isSet = [`temperature ${s.temperature}`];
  if (s.top_k > 0) isSet.push(`top-k ${s.top_k}`);
  if (s.top_p < 1) isSet.push(`top-p ${s.top_p}`);
  if (s.repetition_penalty !== 1) isSet.push(`repetition penalty ${s.repetition_penalty}`);
  find('sampling').replaceChildren(`The model's ten likeliest, and the chance to be drawn with ${isSet.join(', ')}.`,
    ...(next === undefined ? [] : [' Next in the text is ', code(next), `, with ${percent(Math.exp(position().next_logprob))}.`]));
  const wide = (name) => make('th', { scope: 'colgroup', colspan: 2 }, name);
  const most = Math.max(...position().likeliest.flatMap(([, , p, drawn]) => [p, drawn]));
  find('next').replaceChildren(headerRow(['token', wide('model'), wide('drawn')]), make('tbody', {},
    ...position().likeliest.map(([id, , p, drawn]) => make('tr', {}, make('th', { scope: 'row' }, code(id)),
      make('td', {}, track(p / most)), make('td', { class: 'number' }, percent(p)),
      make('td', {}, drawn > 0 ? track(drawn / most) : ''), make('td', { class: 'number' }, drawn > 0 ? percent(drawn) : '–')))));

  const { votes } = position();
  const at = Math.max(0, votes.findIndex((v) => v.token === chosen.candidate));
  const buttons = votes.map((v) => make('button', { class: 'text', 'aria-label': `votes for ${quoted(v.token)}` }, text(v.token)));
  radioGroup(find('candidates'), buttons, at, (i) => { chosen.candidate = votes[i].token; showVotes(votes[i]); });
  showVotes(votes[at]);
}

const kMostParts = 28;

function showVotes(votes) {
  let parts = votes.parts.map((vote, i) => ({ name: data.parts[i], vote }));
  if (parts.length > kMostParts) {
    const bySize = [...parts].sort((a, b) => Math.abs(b.vote) - Math.abs(a.vote));
    const others = bySize.slice(kMostParts);
    parts = [...bySize.slice(0, kMostParts), { name: `the other ${others.length} parts`, vote: others.reduce((sum, p) => sum + p.vote, 0) }];
  }
  if (Math.abs(votes.rounding) >= 0.005) parts.push({ name: 'rounding of the device', vote: votes.rounding });
  const most = Math.max(...parts.map(({ vote }) => Math.abs(vote)));
  find('votes').replaceChildren(make('tbody', {}, ...parts.map(({ name, vote }) => make('tr', {}, make('th', { scope: 'row' }, name),
    make('td', {}, make('span', { class: 'half left' }, vote < 0 ? bar(-vote / most, 'minus') : ''),
      make('span', { class: 'half' }, vote >= 0 ? bar(vote / most) : '')),
    make('td', { class: 'number' }, signed(vote))))));
  const mean = position().mean_logit;
  find('votes-sum').replaceChildren('The votes for ', code(votes.token), ` add up to ${signed(votes.logit - mean)}. The mean logit of the vocabulary is ` +
    `${signed(mean)}, and their sum is the logit ${signed(votes.logit)}.`);
}

// ---- 5. Cost ----------------------------------------------------------------------------------------------

function drawCost() {
  const { operations } = data.cost;
  const sum = (name) => operations.reduce((total, o) => total + o[name], 0);
  const seconds = sum('seconds');
  find('cost-text').textContent = `${operations.length} operations on ${data.model.device} take ${(1e3 * seconds).toFixed(2)} ms, one at a time: ` +
    `${(sum('flop') / 1e6).toFixed(1)} MFLOP, ${(sum('bytes') / 1e6).toFixed(1)} MB moved. This device multiplies matrices with at most ` +
    `${(data.cost.flop_per_second / 1e9).toFixed(0)} GFLOP/s and copies with ${(data.cost.bytes_per_second / 1e9).toFixed(0)} GB/s, as measured. ` +
    'Roof is the time that these limits allow, as a part of the time taken; over 100 %, the data were in a cache.';
  find('cost').replaceChildren(headerRow(['operation', 'shapes',
    ...['time', 'share', 'MFLOP', 'kB', 'FLOP/byte', 'roof'].map((name) => make('th', { scope: 'col', class: 'number' }, name))]), make('tbody', {},
    ...operations.map((o) => make('tr', {}, make('th', { scope: 'row' }, o.label), make('td', {}, o.shapes),
      ...[`${(1e6 * o.seconds).toFixed(1)} µs`, percent(o.seconds / seconds), (o.flop / 1e6).toFixed(2), (o.bytes / 1e3).toFixed(0),
        (o.flop / o.bytes).toFixed(1), percent(o.roof)].map((cell) => make('td', { class: 'number' }, cell))))));
  drawRoofline(operations);
}

/** Both axes are logarithmic. The limits are a slope (bytes) and a ceiling (FLOP); a dot is an operation. */
function drawRoofline(operations) {
  const [width, height, edge] = [560, 260, 40];
  const dots = operations.filter((o) => o.flop > 0).map((o) => ({ x: o.flop / o.bytes, y: o.flop / o.seconds, label: o.label }));
  const { flop_per_second: top, bytes_per_second: slope } = data.cost;
  const xs = [...dots.map((d) => d.x), top / slope];
  const [left, right] = [Math.min(...xs) / 2, Math.max(...xs) * 4];
  const ys = [...dots.map((d) => d.y), top, left * slope];
  const [low, high] = [Math.min(...ys) / 2, Math.max(...ys) * 2];
  const x = (v) => edge + (width - 2 * edge) * Math.log(v / left) / Math.log(right / left);
  const y = (v) => height - edge - (height - 2 * edge) * Math.log(v / low) / Math.log(high / low);
  const svg = (tag, properties, ...children) => {
    const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  find('roofline').replaceChildren(svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': 'Roofline: FLOP per second of each operation by its FLOP per byte; the table has the numbers' },
    svg('path', { class: 'limit', d: `M${x(left)},${y(left * slope)} L${x(top / slope)},${y(top)} L${x(right)},${y(top)}` }),
    svg('path', { class: 'limit', d: `M${edge},${edge / 2} V${height - edge} H${width - edge / 2}` }),
    svg('text', { x: width - edge, y: height - edge / 2, 'text-anchor': 'end' }, `FLOP/byte, from ${short(left)} to ${short(right)}, logarithmic`),
    svg('text', { x: edge, y: edge / 2 - 5 }, `GFLOP/s, from ${short(low / 1e9)} to ${short(high / 1e9)}, logarithmic`),
    svg('text', { x: width - edge, y: y(top) - 6, 'text-anchor': 'end' }, `${(top / 1e9).toFixed(0)} GFLOP/s`),
    ...dots.map((d) => svg('circle', { cx: x(d.x), cy: y(d.y), r: 4 }, svg('title', {}, `${d.label}: ${(d.y / 1e9).toFixed(1)} GFLOP/s`)))));
}

// ---- 6. The heads at every checkpoint ---------------------------------------------------------------------

function drawHistory() {
  if (data.checkpoints.length < 2) return;
  find('history-section').hidden = false;
  const row = (name, cell) => make('tr', {}, make('th', { scope: 'row' }, name), ...data.checkpoints.map((c) => make('td', {}, cell(c))));
  const picture = (h) => (c) => {
    const canvas = make('canvas', { role: 'img', 'aria-label': habitOf(c.heads[h]) });
    paint(canvas, c.heads[h]);
    return canvas;
  };
  find('history').replaceChildren(headerRow(['step', ...data.checkpoints.map((c) => c.step)]), make('tbody', {},
    ...checkpoint().heads.map(({ layer, head }, h) => row(`layer ${layer} head ${head}`, picture(h))),
    ...(tokens.length < 2 ? [] : [row('right first guesses', (c) => `${guesses(c).right} of ${guesses(c).of}`),
      row('loss on this text', (c) => guesses(c).loss.toFixed(2))])));
}

// ---- Everything -------------------------------------------------------------------------------------------

function show() {
  find('now').textContent = `Token ${chosen.token} of ${tokens.length}: ${quoted(tokens[chosen.token])}`;
  if (data.checkpoints.length > 1) showTraining();
  showMerges();
  showLens();
  showHeads();
  showHead();
  showNext();
}

drawFacts();
drawTokens();
drawTraining();
drawHeads();
drawCost();
drawHistory();
show();

// The arrow keys choose a token wherever no other element uses them.
document.addEventListener('keydown', (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const uses = event.target.closest('input, [role="radiogroup"], [role="region"]');
  if (by === undefined || uses || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  chosen.token = Math.max(0, Math.min(tokens.length - 1, chosen.token + by));
  selectToken(chosen.token);
  show();
});

// The colours of pictures come from the style sheet.
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { painted = null; showHeads(); drawHistory(); });
