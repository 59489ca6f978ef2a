// What is to be measured, as it is typed. The fragment keeps it, tokens apart, so that a link leads to the same.

import { isLoopback } from './target.js'

/** @typedef {import('./rounds.js').Plan} Plan */

/** Where `cargo xtask up all` serves. */
const LOCAL = [8080, 8787, 3000, 7676]

const input = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (document.getElementById(id))

const rows = () => [...document.querySelectorAll('#rows .row')].map(row => {
  const [url, token] = row.querySelectorAll('input')
  return { url, token }
})

const transports = () => /** @type {HTMLInputElement[]} */ ([...document.querySelectorAll('input[name=transport]')])

/** Sets the form up as the fragment has it. */
export const fillForm = () => {
  const asked = new URLSearchParams(location.hash.slice(1))
  const urls = asked.getAll('url')
  for (const url of urls.length > 0 ? urls : [location.origin]) addRow(url)
  for (const id of ['rate', 'duration', 'timeout']) {
    if (/^\d+$/.test(asked.get(id) ?? '')) input(id).value = /** @type {string} */ (asked.get(id))
  }
  const ways = asked.getAll('transport')
  if (ways.length > 0) for (const box of transports()) box.checked = ways.includes(box.value)
  // A field that is wrong keeps the form from being sent, and so from being looked at again.
  for (const box of transports()) box.addEventListener('change', () => transports()[0].setCustomValidity(''))

  input('add').addEventListener('click', () => addRow('').focus())
  const local = input('local')
  local.hidden = !isLoopback(location.hostname)
  local.addEventListener('click', () => {
    const known = rows().map(({ url }) => url.value)
    const urls = LOCAL.map(port => `http://127.0.0.1:${port}`).filter(url => !known.includes(url))
    for (const url of urls) addRow(url)
    for (const { url } of rows()) if (url.value === '') url.closest('.row')?.remove()
    number()
  })
}

/** What the form says, or nothing if it says too little: then it says so. @returns {Plan | undefined} */
export const readForm = () => {
  const boxes = transports()
  const chosen = boxes.filter(({ checked }) => checked)
  boxes[0]?.setCustomValidity(chosen.length > 0 ? '' : 'Choose one at least.')
  const form = /** @type {HTMLFormElement} */ (document.getElementById('plan'))
  if (!form.reportValidity()) return undefined
  const common = input('token').value.trim()
  const addresses = rows().map(({ url, token }) => ({ url: url.value.trim(), token: token.value.trim() || common }))
  const [rate, duration, timeout] = ['rate', 'duration', 'timeout'].map(id => Number(input(id).value))
  const plan = {
    addresses,
    transports: chosen.map(({ value }) => /** @type {import('./session.js').Transport} */ (value)),
    rate,
    duration,
    timeout: timeout * 1000
  }
  const kept = [
    // A token that was typed into a URL is not for the history.
    ...addresses.map(({ url }) => ['url', url.split(/[?#]/)[0].replace(/^([^/]*\/\/)?.*@/, '$1')]),
    ...plan.transports.map(name => ['transport', name]),
    ['rate', String(rate)], ['duration', String(duration)], ['timeout', String(timeout)]
  ]
  history.replaceState(null, '', `#${new URLSearchParams(kept)}`)
  return plan
}

export const setRunning = (/** @type {boolean} */ running) => {
  input('start').disabled = running
  input('stop').hidden = !running
  for (const fields of document.querySelectorAll('#plan fieldset, #plan .settings input')) {
    /** @type {HTMLInputElement} */ (fields).disabled = running
  }
}

/** @param {string} value @returns {HTMLInputElement} */
const addRow = value => {
  const row = document.createElement('div')
  row.className = 'row'
  const url = Object.assign(document.createElement('input'), {
    type: 'text', inputMode: 'url', value, placeholder: 'https://…', required: true, spellcheck: false, autocapitalize: 'none'
  })
  const token = Object.assign(document.createElement('input'), { type: 'password', placeholder: 'Token, if it needs one', autocomplete: 'off' })
  const remove = Object.assign(document.createElement('button'), { type: 'button', className: 'button remove' })
  remove.append(icon('remove'))
  remove.addEventListener('click', () => {
    row.remove()
    number()
    input('add').focus()
  })
  row.append(url, token, remove)
  document.getElementById('rows')?.append(row)
  number()
  return url
}

/** Names the fields, for whoever does not see where they stand. */
const number = () => {
  const all = rows()
  for (const [at, { url, token }] of all.entries()) {
    url.ariaLabel = `URL of server ${at + 1}`
    token.ariaLabel = `Token for server ${at + 1}`
    const remove = /** @type {HTMLButtonElement} */ (url.parentElement?.querySelector('.remove'))
    remove.ariaLabel = `Remove server ${at + 1}`
    remove.disabled = all.length === 1
  }
}

export const icon = (/** @type {string} */ name) => {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  svg.setAttribute('class', 'icon')
  svg.setAttribute('aria-hidden', 'true')
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use')
  use.setAttribute('href', `#icon-${name}`)
  svg.append(use)
  return svg
}
