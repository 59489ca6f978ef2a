// y-partyserver with the persistence of its README, into the object's own SQLite, and with partyserver's hibernation.
import { routePartykitRequest } from 'partyserver'
import { YServer } from 'y-partyserver'
import { applyUpdate, encodeStateAsUpdate } from 'yjs'

/** Loads by all objects of this isolate, for the benchmark to ask. */
let loads = 0

export class Document extends YServer {
  static options = { hibernate: true }

  async onLoad () {
    loads += 1
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS document (id INTEGER PRIMARY KEY, content BLOB)')
    const [row] = this.ctx.storage.sql.exec('SELECT content FROM document WHERE id = 0')
    if (row) applyUpdate(this.document, new Uint8Array(row.content))
  }

  async onSave () {
    const content = encodeStateAsUpdate(this.document)
    this.ctx.storage.sql.exec('INSERT OR REPLACE INTO document (id, content) VALUES (0, ?)', content)
  }
}

export default {
  fetch: async (request, env) => {
    if (new URL(request.url).pathname === '/loads') return new Response(String(loads))
    return await routePartykitRequest(request, env) ?? new Response(null, { status: 404 })
  }
}
