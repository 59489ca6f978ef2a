// Who is writing: a name and a colour. Ours is remembered on this device; everyone else's comes over the wire and is
// only ever used after it was checked here.

import { pick } from './address.js'

/** @typedef {{ name: string, color: string }} Person */

/** Colours that carry white letters and stand out on the light and the dark page alike. */
export const COLORS = [
  { label: 'Rose', value: '#c23a5b' },
  { label: 'Rust', value: '#b4531f' },
  { label: 'Ochre', value: '#8a6a10' },
  { label: 'Moss', value: '#3d7a3f' },
  { label: 'Teal', value: '#12787c' },
  { label: 'Blue', value: '#2b6cb8' },
  { label: 'Violet', value: '#6b58c9' },
  { label: 'Plum', value: '#a0408f' }
]

export const NAME_LIMIT = 32

/** Who we were the last time, or someone new with a friendly name. @returns {Person} */
export const recall = () => {
  try {
    const { name, color } = JSON.parse(localStorage.getItem(KEY) ?? '')
    if (typeof name === 'string' && COLORS.some(known => known.value === color)) return { name, color }
  } catch {
    // Nothing stored, storage forbidden, or not ours to read: begin afresh.
  }
  const person = { name: `${pick(MANNERS)} ${pick(ANIMALS)}`, color: pick(COLORS).value }
  remember(person)
  return person
}

/** @param {Person} person */
export const remember = person => {
  try {
    localStorage.setItem(KEY, JSON.stringify(person))
  } catch {
    // A private window may forbid storage; the name then lasts as long as the page.
  }
}

/** Calls back when another window on this device changed who we are. @param {(person: Person) => void} changed */
export const watch = changed => addEventListener('storage', event => event.key === KEY && changed(recall()))

/**
 * The person in an awareness state, whatever a client put there: a name of bounded length, a colour that is safe in CSS.
 *
 * @param {any} state
 * @param {number} clientId chooses the colour where the state has none that we understand
 * @returns {Person}
 */
export const personOf = (state, clientId) => {
  const { name, color } = state?.user ?? {}
  return {
    name: (typeof name === 'string' && name.trim().slice(0, NAME_LIMIT)) || 'Anonymous',
    color: /^#([\da-f]{3}|[\da-f]{6})$/i.test(color) ? color : COLORS[clientId % COLORS.length].value
  }
}

/** One or two letters to stand for a name. @param {string} name */
export const initials = name => {
  const words = name.trim().split(/\s+/)
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : words
  return letters.map(word => [...word][0] ?? '').join('').toUpperCase() || '?'
}

/** The ink, dark or light, that can be read on a colour. @param {string} color `#rgb` or `#rrggbb` */
export const inkOn = color => {
  const hex = color.length === 4 ? color.replace(/[^#]/g, '$&$&') : color
  const [red, green, blue] = [1, 3, 5].map(at => (parseInt(hex.slice(at, at + 2), 16) / 255) ** 2.2)
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.3 ? '#1b1f22' : '#fff'
}

const KEY = 'yonder.person'

const MANNERS = 'Amber Brave Bright Calm Clever Curious Gentle Golden Keen Kind Lucky Merry Mellow Nimble Patient Quiet Silver Swift Warm Wise'.split(' ')

const ANIMALS = 'Badger Crane Curlew Deer Dolphin Falcon Finch Fox Hare Heron Ibis Lark Lynx Marten Otter Owl Plover Robin Seal Stork Swan Tern Wren'.split(' ')
