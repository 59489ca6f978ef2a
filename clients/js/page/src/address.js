// The page's address names the document: `#name` or `#name?token=...`. All of it is in the fragment, which a browser
// does not send, so neither a document's name nor its token reaches the log of whoever serves the page.

/** @typedef {{ name: string, token: string }} Address */

/**
 * Reads a fragment. The name is percent-decoded and loses slashes at its ends; it is "" where the fragment has none.
 *
 * @param {string} hash `location.hash`, with or without its `#`
 * @returns {Address}
 */
export const parseAddress = hash => {
  const [path, ...query] = hash.replace(/^#/, '').split('?')
  // A `+` in a token is a plus, as it stands in base64, and no space.
  const params = new URLSearchParams(query.join('?').replaceAll('+', '%2B'))
  return { name: tidyName(decode(path)), token: params.get('token') ?? '' }
}

/** @param {Address} address */
export const formatAddress = ({ name, token }) =>
  `#${encodePath(name)}${token && `?token=${encodeURIComponent(token)}`}`

/** The name as a URL's path: every segment percent-encoded, the slashes between them kept. @param {string} name */
const encodePath = name => name.split('/').map(encodeURIComponent).join('/')

/** @param {string} name */
export const tidyName = name => name.trim().replace(/^\/+|\/+$/g, '')

/**
 * Why no server could be asked for this document, or "". A URL drops dot segments, so that such a name would quietly
 * open another document.
 *
 * @param {string} name
 */
export const nameProblem = name =>
  name.split('/').some(segment => segment === '.' || segment === '..')
    ? 'A document’s name cannot have “.” or “..” between its slashes.'
    : ''

/** A name that is easy to say over the phone, such as `quiet-river-427`. */
export const randomName = () => `${pick(ADJECTIVES)}-${pick(PLACES)}-${100 + random(9900)}`

/** @template T @param {T[]} list */
export const pick = list => list[random(list.length)]

const random = (/** @type {number} */ below) => crypto.getRandomValues(new Uint32Array(1))[0] % below

const decode = (/** @type {string} */ text) => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const ADJECTIVES = words(`amber autumn blue bold brave bright broad calm clear cold cool crisp dawn deep early even fair
  far fine fresh gentle glad golden green hidden high kind late light long lucid mellow mild misty new noble old open
  pale plain quick quiet round silent silver slow small soft spring still summer swift tall warm white wide wild winter`)

const PLACES = words(`bank bay beach bend birch bridge brook cape cedar cliff cloud coast cove creek dale delta dune elm
  falls fen field fjord ford forest garden glade glen grove harbor heath hill island lake lagoon leaf marsh meadow mesa
  moor moon oak orchard path peak pine pond rain reef ridge river sea shore sky snow star stone stream tide trail
  valley wave willow wind wood`)

function words (/** @type {string} */ text) {
  return text.split(/\s+/)
}
