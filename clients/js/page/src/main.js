// The page: one document at a time, the one that the address names.

import { formatAddress, nameProblem, parseAddress, randomName, tidyName } from './address.js'
import { openEditor } from './editor.js'
import { recall, remember, watch } from './person.js'
import { listenToSelf, showPeople, showSelf } from './presence.js'
import { Session } from './session.js'
import { element, showStatus, statusOf } from './status.js'
import { allowed, listenToTransport, showTransport } from './transport.js'

let me = recall()

/** @type {{ address: import('./address.js').Address, session?: Session, close: () => void } | undefined} */
let open

/** How long a refused writer is waited for to be refused altogether, in milliseconds. */
const REFUSAL_FOLLOWS = 500

/**
 * @param {{ readOnly: string, written: import('./session.js').Written }} [before] what a session before this one learned
 *   of the same document: why it may not be changed, and what was written all the same
 */
const openAddressed = before => {
  const address = parseAddress(location.hash)
  if (address.name === '') {
    address.name = randomName()
    history.replaceState(null, '', formatAddress(address))
  }
  open?.close()
  showAddress(address)
  const problem = nameProblem(address.name)
  if (problem !== '') {
    open = { address, close: () => {} }
    show({ phase: 'refused', readOnly: true, reason: problem, saved: true, transport: null })
    return
  }

  const session = new Session(address, me, { transports: allowed(), readOnly: before?.readOnly, onState: state => change(state) })
  const editor = openEditor(element('desk'), session)
  const forgetPeople = showPeople(session.awareness, editor.reveal)
  let reopening = 0
  open = {
    address,
    session,
    close () {
      clearTimeout(reopening)
      forgetPeople()
      editor.view.destroy()
      session.close()
    }
  }

  const change = (/** @type {import('./session.js').State} */ state) => {
    const lost = before && state.phase === 'synced' && !session.has(before.written) ? before.written.text : ''
    const status = show(state, lost)
    editor.setMode(state.readOnly || state.phase === 'refused', status.hint)
    // What the server did not take is in this window only, and would look as if it were in the document.
    if (!before && state.phase === 'synced' && state.readOnly) {
      clearTimeout(reopening)
      reopening = setTimeout(reopen, REFUSAL_FOLLOWS)
    }
  }
  const reopen = () => {
    const { phase, reason } = session.state
    const written = session.written()
    if (phase === 'synced' && written.clock > 0) openAddressed({ readOnly: reason || 'The server did not say why.', written })
  }
  change(session.state)
  // Where typing needs no keyboard on the screen, it may begin at once.
  if (matchMedia('(pointer: fine)').matches && document.activeElement === document.body) editor.view.focus()
}

/** @param {import('./session.js').State} state */
const show = (state, lost = '') => {
  const status = statusOf(state, lost !== '')
  showStatus(status, { retry: () => openAddressed(), rescue: () => copy(lost) })
  showTransport(state.transport)
  Object.assign(document.documentElement.dataset, {
    state: state.phase,
    saved: String(state.saved),
    transport: state.transport ?? ''
  })
  return status
}

const nameField = /** @type {HTMLInputElement} */ (element('name'))
const openButton = /** @type {HTMLElement} */ (document.querySelector('#address .open'))

/** @param {import('./address.js').Address} address */
const showAddress = address => {
  document.title = `${address.name} · yonder`
  restoreName(address.name)
  const second = /** @type {HTMLAnchorElement} */ (element('second'))
  second.href = formatAddress(address)
}

/** Offers to open what stands in the field, where that is another document. */
const offerName = () => {
  nameField.size = Math.max(4, nameField.value.length)
  openButton.hidden = ['', open?.address.name].includes(tidyName(nameField.value))
}

const restoreName = (name = open?.address.name ?? '') => {
  nameField.value = name
  nameField.size = Math.max(4, name.length)
  openButton.hidden = true
}

/** Copies where the browser lets us: without TLS it has no `navigator.clipboard`. @param {string} text */
const copy = async text => {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const area = Object.assign(document.createElement('textarea'), { value: text, className: 'unseen' })
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)
    document.body.append(area)
    area.select()
    const copied = document.execCommand('copy')
    area.remove()
    focused?.focus()
    return copied
  }
}

const listenToHeader = () => {
  nameField.addEventListener('input', offerName)
  nameField.addEventListener('keydown', event => {
    if (event.key !== 'Escape') return
    restoreName()
    nameField.blur()
  })
  element('address').addEventListener('focusout', event => {
    if (!element('address').contains(/** @type {Node | null} */ (event.relatedTarget))) restoreName()
  })
  element('address').addEventListener('submit', event => {
    event.preventDefault()
    const name = tidyName(nameField.value)
    nameField.blur()
    if (name !== '') location.hash = formatAddress({ name, token: open?.address.token ?? '' })
  })

  const copyButton = element('copy')
  const label = /** @type {HTMLElement} */ (copyButton.querySelector('span'))
  const rest = label.textContent
  let timer = 0
  copyButton.addEventListener('click', async () => {
    const copied = await copy(location.href)
    label.textContent = copied ? 'Copied' : 'Copy it from the address bar'
    copyButton.dataset.done = String(copied)
    clearTimeout(timer)
    timer = setTimeout(() => {
      label.textContent = rest
      delete copyButton.dataset.done
    }, 2000)
  })
}

const introduce = (/** @type {import('./person.js').Person} */ person) => {
  me = person
  showSelf(me)
  open?.session?.introduce(me)
}

listenToHeader()
listenToSelf(change => {
  introduce({ ...me, ...change })
  remember(me)
})
listenToTransport(() => {
  open?.session?.use(allowed())
  showTransport(open?.session?.state.transport ?? null)
})
watch(introduce)
showSelf(me)
openAddressed()
addEventListener('hashchange', () => {
  const { name, token } = parseAddress(location.hash)
  if (name !== open?.address.name || token !== open.address.token) openAddressed()
})
