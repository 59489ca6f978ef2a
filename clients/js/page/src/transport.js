// How this window reaches the server: what is in use, in the header, and a small form to choose.

import { element } from './status.js'

/** @typedef {import('yonder-provider').TransportName} TransportName */

/** @typedef {TransportName | 'automatic'} Choice */

/** @type {Record<TransportName, string>} */
const NAMES = { websocket: 'WebSocket', sse: 'Event stream', 'long-poll': 'Long-poll' }

const ALL = /** @type {TransportName[]} */ (Object.keys(NAMES))

/** What this window may use, the best first: all of them, or the one that was chosen, also before it was reloaded. */
export const allowed = () => choice === 'automatic' ? ALL : [choice]

/** @param {TransportName | null} transport what is in use, if anything is */
export const showTransport = transport => {
  const button = element('line')
  const wanted = allowed().length === 1 ? NAMES[allowed()[0]] : '…'
  const name = transport === null ? wanted : NAMES[transport]
  const label = /** @type {HTMLElement} */ (button.querySelector('.label'))
  if (label.textContent !== name) label.textContent = name
  button.dataset.forced = String(choice !== 'automatic')
  button.title = `${transport === null ? 'Not connected' : `Connected by ${NAMES[transport]}`}: choose another way`
}

/** Sets up the form. @param {() => void} changed */
export const listenToTransport = changed => {
  const form = /** @type {HTMLFormElement} */ (element('transport'))
  const inputs = [...form.querySelectorAll('input')]
  for (const input of inputs) {
    input.checked = input.value === choice
    input.addEventListener('change', () => {
      choice = /** @type {Choice} */ (input.value)
      try {
        sessionStorage.setItem(KEY, choice)
      } catch {
        // A private window may forbid storage; the choice then lasts as long as the page.
      }
      changed()
    })
  }
  form.addEventListener('submit', event => {
    event.preventDefault()
    form.hidePopover()
  })
}

/** @returns {Choice} */
const recall = () => {
  try {
    const stored = sessionStorage.getItem(KEY)
    return ALL.find(name => name === stored) ?? 'automatic'
  } catch {
    return 'automatic'
  }
}

const KEY = 'yonder.transport'

let choice = recall()
