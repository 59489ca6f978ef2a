// The page: what is to be measured, and what was. A worker measures.

import { shown } from './axis.js'
import { draw, linesOf, TRANSPORTS } from './chart.js'
import { fillForm, icon, readForm, setRunning } from './form.js'

/** @typedef {import('./rounds.js').Outcome} Outcome */

const METRICS = [
  { name: 'propagation', label: 'Propagation', meaning: 'From when an edit was due until another client had it.' },
  { name: 'ack', label: 'Stored', meaning: 'From when an edit was due until the server said that it is stored.' },
  { name: 'rtt', label: 'Round trip', meaning: 'A question and its answer on a connection that stands.' },
  { name: 'connect', label: 'Connect', meaning: 'A fresh connection: lookup, TCP and TLS, of a WebSocket also its upgrade.' },
  { name: 'ttfb', label: 'First byte', meaning: 'On a fresh connection: from the request until the answer’s first byte. Browsers do not tell it of a WebSocket.' }
]

/** @type {Worker | undefined} */
let worker
/** @type {Outcome | undefined} */
let outcome
let metric = METRICS[0]
let download = ''

const element = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id))

const start = () => {
  const plan = readForm()
  if (!plan || worker) return
  outcome = undefined
  URL.revokeObjectURL(download)
  worker = new Worker('/assets/latency-worker.js', { type: 'module' })
  worker.onmessage = ({ data }) => {
    const report = /** @type {import('./worker.js').Report} */ (data)
    if ('progress' in report) {
      const { share, doing } = report.progress
      show(report.progress.outcome)
      say(doing, share)
    } else if ('outcome' in report) {
      show(report.outcome)
      end(report.outcome.notes.some(note => note.startsWith('It was stopped')) ? 'Stopped.' : 'Done.')
    } else {
      end(`This went wrong: ${report.broken}`)
    }
  }
  worker.onerror = event => end(`This went wrong: ${event.message || 'the worker does not start'}`)
  worker.postMessage({ plan, protocol: location.protocol })
  if (document.hidden) worker.postMessage('hidden')
  document.documentElement.dataset.state = 'running'
  setRunning(true)
  element('results').hidden = true
  element('status').textContent = 'Measuring.'
  say('Starting', 0)
}

const end = (/** @type {string} */ words) => {
  worker?.terminate()
  worker = undefined
  document.documentElement.dataset.state = 'done'
  setRunning(false)
  say(words, undefined)
  element('status').textContent = words
  element('download').hidden = outcome === undefined
  if (!outcome) return
  download = URL.createObjectURL(new Blob([`${JSON.stringify(outcome, undefined, 2)}\n`], { type: 'application/json' }))
  Object.assign(element('download'), { href: download, download: `yonder-latency-${outcome.started.slice(0, 19).replaceAll(':', '')}.json` })
}

const say = (/** @type {string} */ words, /** @type {number | undefined} */ share) => {
  const bar = /** @type {HTMLProgressElement} */ (element('share'))
  bar.hidden = share === undefined
  bar.value = share ?? 0
  const text = element('doing').querySelector('span')
  if (text) text.textContent = words
}

const show = (/** @type {Outcome} */ found) => {
  outcome = found
  const problems = found.hosts.flatMap(({ url, error, transports }) => [
    ...error ? [{ where: url, message: error.message }] : [],
    ...Object.entries(transports).flatMap(([transport, { error }]) => error
      ? [{ where: `${url} by ${TRANSPORTS[/** @type {import('./session.js').Transport} */ (transport)]}`, message: error.message }]
      : [])
  ])
  const lines = problems.map(({ where, message }) => `${where}: ${message}`)
  // Unchanged text is left alone, lest a screen reader say it twice.
  if (lines.join('\n') !== [...element('problems').children].map(({ textContent }) => textContent).join('\n')) {
    element('problems').replaceChildren(...problems.map(({ where, message }) => {
      const item = document.createElement('li')
      const words = document.createElement('span')
      words.append(Object.assign(document.createElement('strong'), { textContent: where }), `: ${message}`)
      item.append(icon('problem'), words)
      return item
    }))
  }
  element('found').replaceChildren(...found.notes.map(note => Object.assign(document.createElement('li'), { textContent: note })))
  const any = found.hosts.some(({ transports }) => Object.keys(transports).length > 0)
  element('results').hidden = !any
  element('download').hidden = worker !== undefined
  if (any) showMetric()
}

const showMetric = () => {
  if (!outcome) return
  element('meaning').textContent = metric.meaning
  draw(element('chart'), outcome, metric.name)
  const table = /** @type {HTMLTableElement} */ (element('figures'))
  const caption = Object.assign(document.createElement('caption'), { textContent: `${metric.label}, in milliseconds` })
  const head = row('th', ['Server', 'By', 'Median', 'p90', 'p99', 'Longest', 'Measured', 'Failed'])
  const body = linesOf(outcome, metric.name).map(({ transport, url, of }) =>
    row('td', [url, TRANSPORTS[transport], shown(of.p50), shown(of.p90), shown(of.p99), shown(of.max), of.count, of.failed]))
  const [thead, tbody] = ['thead', 'tbody'].map(name => document.createElement(name))
  thead.append(head)
  tbody.append(...body)
  table.replaceChildren(caption, thead, tbody)
}

/** @param {'td' | 'th'} kind @param {(string | number)[]} texts */
const row = (kind, texts) => {
  const line = document.createElement('tr')
  line.append(...texts.map((text, at) => {
    const cell = document.createElement(at === 0 ? 'th' : kind)
    if (at === 0 || kind === 'th') cell.setAttribute('scope', kind === 'th' ? 'col' : 'row')
    cell.textContent = String(text)
    return cell
  }))
  return line
}

fillForm()
element('metrics').append(...METRICS.map(known => {
  const label = document.createElement('label')
  const input = Object.assign(document.createElement('input'), { type: 'radio', name: 'metric', value: known.name, checked: known === metric })
  input.addEventListener('change', () => {
    metric = known
    showMetric()
  })
  label.append(input, known.label)
  return label
}))
element('plan').addEventListener('submit', event => {
  event.preventDefault()
  start()
})
element('stop').addEventListener('click', () => {
  worker?.postMessage('stop')
  say('Stopping', undefined)
})
document.addEventListener('visibilitychange', () => document.hidden && worker?.postMessage('hidden'))
