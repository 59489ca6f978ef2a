// What the page says about a connection: in the header always, and in a notice where the reader should know more.

/** @typedef {import('./session.js').State} State */

/**
 * @typedef {{ icon: string, label: string, detail?: string, saving?: boolean, hint: string, notice?: Notice }} Status
 *   `detail` goes on after the label, where there is room or need; `hint` is the empty document's
 */

/** @typedef {{ title: string, text: string, action?: 'retry' | 'rescue' }} Notice */

/**
 * @param {State} state
 * @param {boolean} lost whether words were written here that the server did not take
 * @returns {Status}
 */
export const statusOf = ({ phase, readOnly, reason, saved }, lost) => {
  switch (phase) {
    case 'connecting':
      return { icon: 'connecting', label: 'Connecting…', hint: '' }
    case 'offline':
      return {
        icon: 'offline',
        label: 'Offline, reconnecting…',
        hint: '',
        notice: !saved || reason !== ''
          ? {
              title: reason || 'The server cannot be reached.',
              text: saved ? 'Trying again.' : 'What you write stays in this window and is sent as soon as the server answers.'
            }
          : undefined
      }
    case 'refused':
      return {
        icon: 'refused',
        label: 'Refused',
        hint: '',
        notice: { title: 'The server refused this document.', text: reason, action: 'retry' }
      }
    case 'synced':
      return readOnly
        ? {
            icon: 'read-only',
            label: 'Read-only',
            hint: 'Nothing has been written here yet.',
            notice: lost
              ? { title: 'Your changes were not saved.', text: reason, action: 'rescue' }
              : { title: 'You can read this document, not change it.', text: reason }
          }
        : {
            icon: 'synced',
            label: 'Synced',
            detail: saved ? ' and saved' : ', saving…',
            saving: !saved,
            hint: 'Start writing. Anyone with this link can join in.'
          }
  }
}

/** How long an edit may be on its way, in milliseconds, before the words say so: they are read out by screen readers. */
const PATIENCE = 1000

let words = 0

/** Shows it. @param {Status} status @param {{ retry: () => unknown, rescue: () => Promise<boolean> }} actions */
export const showStatus = ({ icon, label, detail = '', saving = false, notice }, actions) => {
  const state = element('state')
  state.querySelector('use')?.setAttribute('href', `#icon-${icon}`)
  clearTimeout(words)
  const say = () => {
    setText(state.querySelector('.label'), label)
    setText(state.querySelector('.detail'), detail)
    state.dataset.saving = String(saving)
  }
  if (saving && state.dataset.icon === icon) words = setTimeout(say, PATIENCE)
  else say()
  state.dataset.icon = icon

  const box = element('notice')
  box.hidden = notice === undefined
  if (notice === undefined) return
  box.dataset.icon = icon
  box.querySelector('use')?.setAttribute('href', `#icon-${icon}`)
  setText(box.querySelector('strong'), notice.title)
  setText(box.querySelector('p'), notice.text)
  const button = /** @type {HTMLButtonElement} */ (box.querySelector('button'))
  button.hidden = notice.action === undefined
  setText(button, notice.action === 'rescue' ? 'Copy what I wrote' : 'Try again')
  button.onclick = notice.action === 'rescue'
    ? async () => setText(button, await actions.rescue() ? 'Copied' : 'This browser does not let us copy')
    : actions.retry
}

/** @param {string} id @returns {HTMLElement} */
export const element = id => /** @type {HTMLElement} */ (document.getElementById(id))

/** Unchanged text is left alone, lest a screen reader say it twice. @param {Element | null} target @param {string} text */
const setText = (target, text) => {
  if (target && target.textContent !== text) target.textContent = text
}
