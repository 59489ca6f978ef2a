// The distributions of a metric, one under the other on one axis: by transport, and of each the hosts. What is told by colour
// is told by pattern and by words as well.

import { Axis, FEW, shown } from './axis.js'

/** @typedef {import('./rounds.js').Outcome} Outcome */
/** @typedef {import('./summary.js').Summary} Summary */
/** @typedef {import('./session.js').Transport} Transport */

/** @type {Record<Transport, string>} */
export const TRANSPORTS = { ws: 'WebSocket', sse: 'Event stream', 'long-poll': 'Long-poll' }

/** Patterns of the page's; in a style sheet their addresses would not be the page's everywhere. @type {Record<Transport, string>} */
const FILLS = { ws: '', sse: 'url(#fill-sse)', 'long-poll': 'url(#fill-long-poll)' }

const POINTS = /** @type {const} */ (['p50', 'p90', 'p99'])

/** Pixels from the top of a drawing: where a shape begins and ends. */
const [TOP, GROUND] = [4, 44]

/** @param {Outcome} outcome @param {string} metric @returns {{ transport: Transport, name: string, url: string, of: Summary }[]} */
export const linesOf = ({ hosts }, metric) => {
  const shorten = new Set(hosts.map(({ url }) => bare(url))).size === hosts.length
  return /** @type {Transport[]} */ (Object.keys(TRANSPORTS)).flatMap(transport => hosts.flatMap(({ url, transports }) => {
    const of = /** @type {Summary | null | undefined} */ (transports[transport]?.[metric])
    return of ? [{ transport, name: shorten ? bare(url) : url, url, of }] : []
  }))
}

/** Draws them anew. @param {Element} into @param {Outcome} outcome @param {string} metric */
export const draw = (into, outcome, metric) => {
  const lines = linesOf(outcome, metric)
  const known = lines.flatMap(({ of }) => of.count > 0 ? [of.min ?? 0, of.max ?? 0] : [])
  if (known.length === 0) {
    const none = Object.assign(document.createElement('p'), { textContent: 'Nothing yet.' })
    return into.replaceChildren(none)
  }
  const axis = new Axis(Math.min(...known), Math.max(...known))
  const parts = lines.flatMap((line, at) => [
    ...lines[at - 1]?.transport === line.transport ? [] : [heading(line.transport)],
    ridge(line, axis, at)
  ])
  into.replaceChildren(...parts, labels(axis))
}

const bare = (/** @type {string} */ url) => url.replace(/^https?:\/\//, '')

const heading = (/** @type {Transport} */ transport) => {
  const title = document.createElement('h3')
  const key = make('svg', { 'data-transport': transport, 'aria-hidden': true })
  key.append(make('rect', { class: 'fill', fill: FILLS[transport], width: '100%', height: '100%' }), make('rect', { class: 'outline', width: '100%', height: '100%' }))
  title.append(key, TRANSPORTS[transport])
  return title
}

const ridge = (/** @type {ReturnType<typeof linesOf>[number]} */ { transport, name, of }, /** @type {Axis} */ axis, /** @type {number} */ at) => {
  const row = document.createElement('div')
  row.className = 'ridge'
  row.dataset.transport = transport
  const title = Object.assign(document.createElement('span'), { className: 'name', textContent: name })
  // The words beside it say the same.
  const picture = make('svg', { 'aria-hidden': true })
  picture.append(...grid(axis, GROUND))
  if (of.count > 0) {
    const [min, max] = [of.min, of.max].map(ms => percent(axis.place(ms ?? 0)))
    picture.append(make('line', { class: 'range', x1: min, x2: max, y1: GROUND, y2: GROUND }))
    picture.append(...of.count < FEW ? samples(of, axis) : density(of, axis, at, FILLS[transport]))
    for (const point of POINTS) if (of[point] !== null) picture.append(sign(point, axis.place(of[point])))
  }
  row.append(title, picture, values(of))
  return row
}

/** @param {Summary} of @param {Axis} axis */
const samples = (of, axis) => of.histogram.map(([ms, count]) =>
  make('line', { class: 'sample', x1: percent(axis.place(ms)), x2: percent(axis.place(ms)), y1: GROUND, y2: Math.max(TOP, GROUND - 12 * count) }))

/** @param {Summary} of @param {Axis} axis @param {number} at @param {string} fill */
const density = (of, axis, at, fill) => {
  const path = axis.shape(of.histogram)
  const clip = make('clipPath', { id: `shape-${at}`, clipPathUnits: 'objectBoundingBox' })
  clip.append(make('path', { d: path }))
  const box = { y: TOP, width: '100%', height: GROUND - TOP }
  // A pattern that was stretched would look like another one.
  const outline = make('svg', { ...box, viewBox: '0 0 1 1', preserveAspectRatio: 'none' })
  outline.append(make('path', { class: 'outline', d: path }))
  return [clip, make('rect', { class: 'fill', fill, x: 0, ...box, 'clip-path': `url(#shape-${at})` }), outline]
}

const sign = (/** @type {string} */ point, /** @type {number} */ place) =>
  make('use', { class: 'point', href: `#icon-${point}`, x: percent(place), y: GROUND - 6, width: 12, height: 12, transform: 'translate(-6)' })

const grid = (/** @type {Axis} */ axis, /** @type {number} */ to) => axis.ticks.map(({ at }) =>
  make('line', { class: 'tick', x1: percent(axis.place(at)), x2: percent(axis.place(at)), y1: 0, y2: to }))

const values = (/** @type {Summary} */ of) => {
  const words = Object.assign(document.createElement('span'), { className: 'values' })
  for (const point of POINTS) {
    if (of[point] === null) continue
    const value = document.createElement('span')
    const symbol = make('svg', { class: 'sign', role: 'img', 'aria-label': point === 'p50' ? 'median' : point })
    symbol.append(make('use', { href: `#icon-${point}` }))
    value.append(symbol, Object.assign(document.createElement('b'), { textContent: shown(of[point]) }))
    words.append(value)
  }
  const few = of.p50 === null && of.count > 0 ? `${shown(of.min)} to ${shown(of.max)} ms, ` : 'ms, '
  words.append(span(of.count === 0 ? 'nothing measured' : `${few}${of.count} measured`))
  if (of.failed > 0) words.append(Object.assign(span(`${of.failed} failed`), { className: 'bad' }))
  return words
}

const labels = (/** @type {Axis} */ axis) => {
  const row = document.createElement('div')
  row.className = 'ridge'
  const picture = make('svg', { class: 'axis', 'aria-hidden': true })
  for (const { at, labelled } of axis.ticks) {
    if (!labelled) continue
    const place = axis.place(at)
    const text = make('text', { x: percent(place), y: 14, 'text-anchor': place > 0.95 ? 'end' : place < 0.05 ? 'start' : 'middle' })
    text.textContent = at >= 1 ? at.toLocaleString('en') : String(Number(at.toPrecision(1)))
    picture.append(text)
  }
  row.append(span(''), picture, span('ms, logarithmic'))
  return row
}

const span = (/** @type {string} */ text) => Object.assign(document.createElement('span'), { textContent: text })

const percent = (/** @type {number} */ place) => `${(place * 100).toFixed(2)}%`

/** @param {string} name @param {Record<string, unknown>} attributes */
const make = (name, attributes) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value))
  return element
}
