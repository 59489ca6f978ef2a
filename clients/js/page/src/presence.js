// The people in the header: the others as initials, and our own name and colour with a small form to change them.

import { COLORS, initials, inkOn, NAME_LIMIT, personOf } from './person.js'
import { element } from './status.js'

const SHOWN = 5

/**
 * Keeps the list of the others current until the returned function is called.
 *
 * @param {import('y-protocols/awareness').Awareness} awareness
 * @param {(clientId: number) => void} reveal scrolls to where someone writes
 */
export const showPeople = (awareness, reveal) => {
  const list = element('people')
  let shown = ''
  const draw = () => {
    const people = [...awareness.getStates()]
      .filter(([id]) => id !== awareness.clientID)
      .map(([id, state]) => ({ id, ...personOf(state, id) }))
      .sort((a, b) => a.id - b.id)
    // Cursors move all the time; the list changes when someone comes, goes or takes another name.
    if (JSON.stringify(people) === shown) return
    shown = JSON.stringify(people)
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.client
    const items = people.slice(0, SHOWN).map(person => item(avatarButton(person, reveal)))
    const rest = people.slice(SHOWN)
    if (rest.length > 0) items.push(item(more(rest)))
    list.replaceChildren(...items)
    const again = items.map(item => item.querySelector('button')).find(button => button?.dataset.client === focused)
    if (focused !== undefined) again?.focus()
  }
  draw()
  awareness.on('change', draw)
  return () => {
    awareness.off('change', draw)
    list.replaceChildren()
  }
}

/** @param {import('./person.js').Person} person */
export const showSelf = person => {
  const button = element('self')
  const avatar = /** @type {HTMLElement} */ (button.querySelector('.avatar'))
  paint(avatar, person)
  button.title = `${person.name}: change your name and colour`
  const name = /** @type {HTMLInputElement} */ (element('person-name'))
  if (document.activeElement !== name) name.value = person.name
  for (const input of element('colors').querySelectorAll('input')) input.checked = input.value === person.color
}

/** Sets up the form in which we say who we are. @param {(change: Partial<import('./person.js').Person>) => void} changed */
export const listenToSelf = changed => {
  const form = /** @type {HTMLFormElement} */ (element('introduction'))
  const name = /** @type {HTMLInputElement} */ (element('person-name'))
  name.maxLength = NAME_LIMIT
  name.addEventListener('input', () => name.value.trim() && changed({ name: name.value.trim() }))
  form.addEventListener('submit', event => {
    event.preventDefault()
    form.hidePopover()
  })
  element('colors').append(...COLORS.map(({ label, value }) => {
    const swatch = document.createElement('label')
    const input = Object.assign(document.createElement('input'), { type: 'radio', name: 'color', value })
    input.addEventListener('change', () => changed({ color: value }))
    input.ariaLabel = label
    swatch.title = label
    swatch.style.setProperty('--person', value)
    swatch.append(input)
    return swatch
  }))
}

/** @param {import('./person.js').Person & { id: number }} person @param {(clientId: number) => void} reveal */
const avatarButton = (person, reveal) => {
  const button = document.createElement('button')
  button.className = 'avatar'
  button.dataset.client = String(person.id)
  paint(button, person)
  button.title = person.name
  button.ariaLabel = `${person.name}: show where they write`
  button.addEventListener('click', () => reveal(person.id))
  return button
}

/** @param {import('./person.js').Person[]} people */
const more = people => {
  const badge = document.createElement('span')
  badge.className = 'avatar more'
  badge.textContent = `+${people.length}`
  badge.title = people.map(({ name }) => name).join(', ')
  return badge
}

/** @param {HTMLElement} target @param {import('./person.js').Person} person */
const paint = (target, { name, color }) => {
  target.textContent = initials(name)
  target.style.setProperty('--person', color)
  target.style.setProperty('--ink', inkOn(color))
}

/** @param {HTMLElement} content */
const item = content => {
  const li = document.createElement('li')
  li.append(content)
  return li
}
