// The Worker's module where a test must end an object in the middle of something (a held request, what is awaited), or look
// into its database. The platform ends objects so when a new version is deployed or an isolate fails; an eviction
// waits until there is nothing in hand.
import { DurableObject } from 'cloudflare:workers'
import worker, { Catalog, Document as Real } from './index.js'

export { Catalog }

export default {
  async fetch (request, env, context) {
    const { pathname } = new URL(request.url)
    if (!pathname.startsWith('/.probe/')) return new worker(context, env).fetch(request)
    const { doc, of } = await request.json()
    const object = env.DOCUMENT.getByName(doc)
    if (pathname === '/.probe/sql') return Response.json(await object.rows(...of))
    await object.abort().catch(() => {})
    return new Response(null, { status: 204 })
  }
}

export class Document extends DurableObject {
  #document

  constructor (state, env) {
    super(state, env)
    this.#document = new Real(state, env)
  }

  fetch (request) { return this.#document.fetch(request) }
  alarm () { return this.#document.alarm() }
  webSocketMessage (...of) { return this.#document.webSocketMessage(...of) }
  webSocketClose (...of) { return this.#document.webSocketClose(...of) }
  webSocketError (...of) { return this.#document.webSocketError(...of) }

  /** Ends this instance now. What it has not stored is gone, and its sockets and requests with it. */
  abort () { this.ctx.abort('the test ends it') }

  rows (query, ...of) { return this.ctx.storage.sql.exec(query, ...of).toArray() }
}
