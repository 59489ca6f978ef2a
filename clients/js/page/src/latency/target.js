// Where a host is: its URL, taken apart once.

import { Failure } from './failure.js'

/** @typedef {{ url: string, token: string }} Address as it was typed */

export class Target {
  /** @param {Address} address @param {{ protocol: string }} page who asks */
  constructor ({ url, token }, page) {
    const { base, own } = parse(url)
    /** As it is shown: without credentials. */
    this.shown = base
    /** @type {string} */
    this.token = token || own
    this.secure = base.startsWith('https:')
    this.hostname = new URL(base).hostname
    if (page.protocol === 'https:' && !this.secure && !isLoopback(this.hostname)) {
      throw new Failure('url', 'this page came by https, and a browser lets it ask nobody by http')
    }
  }

  /** Whether the URL has an address and no name, so that there is nothing to look up. */
  get isAddress () {
    return /^(\[.*\]|\d+\.\d+\.\d+\.\d+)$/.test(this.hostname)
  }

  /** A document as it is addressed over HTTP, token included: a header would have the browser ask before each request. */
  stream (/** @type {string} */ doc, /** @type {Record<string, string>} */ query = {}) {
    return `${this.document(doc)}${this.#query(query)}`
  }

  /** The same without anything behind it. */
  document (/** @type {string} */ doc) {
    return `${this.shown}/v1/yjs/default/docs/${path(doc)}`
  }

  /** A document's WebSocket. */
  socket (/** @type {string} */ doc) {
    return `${this.shown.replace(/^http/, 'ws')}/ws/${path(doc)}${this.#query({})}`
  }

  #query (/** @type {Record<string, string>} */ query) {
    const all = new URLSearchParams({ ...query, ...(this.token ? { token: this.token } : {}) }).toString()
    return all && `?${all}`
  }
}

/** What was typed, without anything that may be a secret. @param {string} text */
export const redacted = text => text.trim().split(/[?#]/)[0].replace(/^([^/]*\/\/)?.*@/, '$1')

/** @param {string} text @returns {{ base: string, own: string }} without a slash at the end, and the token that is in it */
const parse = text => {
  const wrong = (/** @type {string} */ why) => new Failure('url', `“${redacted(text)}” is no URL of a server: ${why}`)
  let url
  try {
    url = new URL(text.trim())
  } catch {
    throw wrong('it begins with http:// or https://, and a name')
  }
  if (!/^(https?|wss?):$/.test(url.protocol)) throw wrong('it begins with http:// or https://')
  const scheme = /^(https|wss):$/.test(url.protocol) ? 'https' : 'http'
  return { base: `${scheme}://${url.host}${url.pathname.replace(/\/+$/, '')}`, own: url.searchParams.get('token') ?? '' }
}

const path = (/** @type {string} */ doc) => doc.split('/').map(encodeURIComponent).join('/')

export const isLoopback = (/** @type {string} */ hostname) =>
  /^(localhost|.*\.localhost|127\..*|\[::1\])$/.test(hostname)
