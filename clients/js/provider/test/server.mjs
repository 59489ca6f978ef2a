// A server in this process that speaks both protocols, keeps documents in memory, and fails as it is told to.
//
// HTTP: `server.script = request => fault` is asked before each request; without a fault it is served.
//   { status, headers?, error?: [code, message] }  answers so
//   'drop'       cuts the connection before the request is looked at
//   'lose'       does what is asked, then cuts the connection before the answer
//   'hang'       never answers
//   'buffer'     answers with the head of an event stream, and holds everything else back
// WebSocket: `server.sockets` is 'open', 'blocked' (the handshake fails), 'hanging' (it is never answered),
//   'mute' (it opens, and nothing comes), or { code, reason, denial? } (opens, says so and closes).

import { createServer } from 'node:http'
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { WebSocketServer } from 'ws'
import * as awareness from 'y-protocols/awareness'
import * as Y from 'yjs'

export class Server {
  /** @type {(request: Asked) => any} */
  script = () => undefined
  sockets = 'open'
  /** Whether presence comes beside the document, and 102 is answered. */
  presence = true
  echoes = true
  /** Milliseconds that a poll is held and that a stream lasts. */
  pollFor = 25_000
  streamFor = 60_000
  /** Bytes of a body. */
  most = Infinity
  /** Every request: `METHOD /path?query`, and `WS /path`. */
  asked = []
  /** @type {Map<string, Document>} */
  documents = new Map()
  connections = new Set()
  #held = new Set()

  static async up () {
    const server = new Server()
    server.http = createServer((request, response) => {
      server.#handle(request, response).catch(error => {
        console.error(error)
        response.destroy()
      })
    })
    server.http.on('connection', socket => {
      server.connections.add(socket)
      socket.on('close', () => server.connections.delete(socket))
    })
    server.wss = new WebSocketServer({ noServer: true })
    server.http.on('upgrade', (request, socket, head) => server.#upgrade(request, socket, head))
    await new Promise(resolve => server.http.listen(0, '127.0.0.1', resolve))
    server.port = server.http.address().port
    server.url = `http://127.0.0.1:${server.port}`
    return server
  }

  /** Cuts every connection; with `andListener`, nobody gets in any more. */
  async cut (andListener = false) {
    const closed = andListener ? new Promise(resolve => this.http.close(resolve)) : undefined
    for (const client of this.wss.clients) client.terminate()
    for (const socket of this.connections) socket.destroy()
    await closed
  }

  back () {
    return new Promise(resolve => this.http.listen(this.port, '127.0.0.1', resolve))
  }

  document (name) {
    if (!this.documents.has(name)) this.documents.set(name, new Document())
    return this.documents.get(name)
  }

  /** Ends what is held, as a server does at its deadline. */
  release () {
    for (const end of this.#held) end()
  }

  count (pattern) {
    return this.asked.filter(line => pattern.test(line)).length
  }

  async #handle (request, response) {
    const url = new URL(request.url, this.url)
    const line = `${request.method} ${url.pathname}${url.search}`
    this.asked.push(line)
    const body = await read(request)
    response.setHeader('access-control-allow-origin', '*')
    const asked = { line, method: request.method, query: url.searchParams, headers: request.headers, body }
    const fault = await this.script(asked)
    if (fault === 'drop') return request.socket.destroy()
    if (fault === 'hang') return
    if (fault === 'buffer') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      return response.flushHeaders()
    }
    if (fault?.status) return refuse(response, fault.status, fault.error, fault.headers)
    if (body.length > this.most) return refuse(response, 413, undefined)
    if (fault === 'lose') {
      await this.#serve(asked, url, new Deaf())
      return request.socket.destroy()
    }
    await this.#serve(asked, url, response)
  }

  async #serve ({ method, query, body }, url, response) {
    const [, name] = /^\/v1\/yjs\/default\/docs\/(.+)$/.exec(url.pathname) ?? []
    if (!name) return refuse(response, 404, ['NOT_FOUND', 'there is nothing at this path'])
    if (method === 'PUT') {
      const existed = this.documents.has(name)
      const document = this.document(name)
      return response.writeHead(existed ? 200 : 201, { 'stream-next-offset': document.offset }).end()
    }
    const document = this.documents.get(name)
    if (!document) return refuse(response, 404, ['DOCUMENT_NOT_FOUND', 'there is no such document'])
    if (method === 'DELETE') {
      this.documents.delete(name)
      document.gone = true
      document.changed()
      for (const client of this.wss.clients) if (client.name === name) client.close(4404, 'deleted')
      return response.writeHead(204).end()
    }
    if (method === 'POST') {
      const parts = unframe(body)
      if (query.has('awareness')) for (const part of parts) document.announce(part)
      else document.append(parts)
      return response.writeHead(204, { 'stream-next-offset': document.offset }).end()
    }
    const apart = query.has('awareness')
    const reader = apart
      ? document.reader(document.presenceOffset, query.get('offset'), true)
      : document.reader(query.get('offset') ?? '-1', this.presence ? query.get('presence') : null)
    if (query.get('live') === 'sse') return this.#stream(document, reader, response, apart)
    if (query.get('live') === 'long-poll') return this.#poll(document, reader, response, apart)
    const { updates } = reader.take()
    response.writeHead(200, { 'stream-next-offset': document.offset, 'stream-up-to-date': 'true' }).end(frame(updates))
  }

  async #poll (document, reader, response, apart) {
    await this.#until(() => reader.has() || document.gone, document, response, this.pollFor)
    if (document.gone) return refuse(response, 404, ['DOCUMENT_NOT_FOUND', 'there is no such document'])
    const { updates, presence } = reader.take()
    const [first, second] = apart ? [frame(presence), Buffer.alloc(0)] : [frame(updates), frame(presence)]
    const body = Buffer.concat([first, second])
    response.writeHead(body.length > 0 ? 200 : 204, {
      'stream-next-offset': apart ? document.presenceOffset : document.offset,
      'stream-up-to-date': 'true',
      'stream-cursor': '7',
      ...(reader.wantsPresence && !apart ? { 'stream-presence-offset': document.presenceOffset, 'stream-presence-length': second.length } : {})
    })
    response.end(body)
  }

  async #stream (document, reader, response, apart) {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'stream-sse-data-encoding': 'base64' })
    const end = Date.now() + this.streamFor
    for (let first = true; ; first = false) {
      const { updates, presence } = reader.take()
      const main = apart ? presence : updates
      if (main.length > 0) response.write(`event: data\ndata: ${frame(main).toString('base64')}\n\n`)
      if (presence.length > 0 && !apart) response.write(`event: presence\ndata: ${frame(presence).toString('base64')}\n\n`)
      if (first || updates.length + presence.length > 0) {
        response.write(`event: control\ndata: ${JSON.stringify({
          streamNextOffset: apart ? document.presenceOffset : document.offset,
          streamCursor: '7',
          upToDate: true,
          ...(reader.wantsPresence && !apart ? { presenceOffset: document.presenceOffset } : {})
        })}\n\n`)
      }
      const more = await this.#until(() => reader.has() || document.gone, document, response, end - Date.now())
      if (!more || document.gone || response.destroyed) return response.end()
    }
  }

  /** Whether it came to be before the deadline. */
  #until (condition, document, response, ms) {
    return new Promise(resolve => {
      const done = value => {
        clearTimeout(timer)
        document.watchers.delete(look)
        this.#held.delete(expire)
        response.off('close', expire)
        resolve(value)
      }
      const look = () => condition() && done(true)
      const expire = () => done(false)
      const timer = setTimeout(expire, ms)
      this.#held.add(expire)
      document.watchers.add(look)
      response.on('close', expire)
      look()
    })
  }

  #upgrade (request, socket, head) {
    const url = new URL(request.url, this.url)
    this.asked.push(`WS ${url.pathname}${url.search}`)
    const mode = typeof this.sockets === 'function' ? this.sockets(url) : this.sockets
    socket.on('error', () => {})
    if (mode === 'blocked') return socket.destroy()
    if (mode === 'hanging') return
    this.wss.handleUpgrade(request, socket, head, client => {
      client.on('error', () => {})
      if (mode === 'mute') return
      if (mode.code) {
        if (mode.denial) client.send(denial(mode.denial))
        return client.close(mode.code, mode.reason)
      }
      this.#talk(client, url.pathname.replace('/ws/', ''))
    })
  }

  #talk (client, name) {
    client.name = name
    const document = this.document(name)
    const reader = document.reader('-1', 'now')
    reader.take()
    const send = bytes => client.readyState === client.OPEN && client.send(bytes)
    const mine = new Set()
    const look = () => {
      const { updates, presence } = reader.take()
      for (const update of updates) send(message(0, update, 2))
      for (const part of presence) send(message(1, part))
    }
    document.watchers.add(look)
    client.on('close', () => {
      document.watchers.delete(look)
      document.leave(mine, client)
    })
    send(message(0, Y.encodeStateVector(document.ydoc), 0))
    const all = document.allPresence()
    if (all) send(message(1, all))
    client.on('message', data => {
      const decoder = decoding.createDecoder(new Uint8Array(data))
      const type = decoding.readVarUint(decoder)
      if (type === 0) {
        const step = decoding.readVarUint(decoder)
        const bytes = decoding.readVarUint8Array(decoder)
        if (step === 0) send(message(0, Y.encodeStateAsUpdate(document.ydoc, bytes), 1))
        else if (this.denies) send(denial(this.denies))
        else if (bytes.length > 2) document.append([bytes])
      } else if (type === 1) {
        document.announce(decoding.readVarUint8Array(decoder), client, mine)
      } else if (type === 102 && this.echoes) {
        send(data)
      }
    })
  }
}

class Document {
  ydoc = new Y.Doc()
  updates = []
  /** Awareness updates, in order. */
  presences = []
  watchers = new Set()
  owners = new Map()
  gone = false

  constructor () {
    this.presence = new awareness.Awareness(this.ydoc)
    this.presence.setLocalState(null)
    clearInterval(this.presence._checkInterval)
  }

  get offset () {
    return offsetOf(this.updates.length)
  }

  get presenceOffset () {
    return offsetOf(this.presences.length)
  }

  append (updates) {
    for (const update of updates) {
      Y.applyUpdate(this.ydoc, update)
      this.updates.push(update)
    }
    this.changed()
  }

  announce (update, owner, mine) {
    awareness.applyAwarenessUpdate(this.presence, update, 'client')
    for (const id of clientsOf(update)) {
      this.owners.set(id, owner)
      mine?.add(id)
    }
    this.presences.push(update)
    this.changed()
  }

  /** A socket has closed: what is still its own goes. */
  leave (mine, owner) {
    const gone = [...mine].filter(id => this.owners.get(id) === owner && this.presence.states.has(id))
    if (gone.length === 0) return
    const update = awareness.encodeAwarenessUpdate(this.presence, gone, new Map())
    awareness.removeAwarenessStates(this.presence, gone, 'left')
    this.presences.push(update)
    this.changed()
  }

  allPresence () {
    const ids = [...this.presence.states.keys()]
    return ids.length > 0 ? awareness.encodeAwarenessUpdate(this.presence, ids) : undefined
  }

  changed () {
    for (const look of [...this.watchers]) look()
  }

  /** What is new after these offsets; no presence where that is null. */
  reader (offset, presenceOffset) {
    let at = offset === '-1' ? 0 : offset === 'now' ? this.updates.length : Number.parseInt(offset, 16)
    let presenceAt = presenceOffset === 'now' || presenceOffset === '-1' ? -1 : Number.parseInt(presenceOffset ?? '0', 16)
    const wantsPresence = presenceOffset !== null
    return {
      wantsPresence,
      has: () => this.updates.length > at || (wantsPresence && (presenceAt < 0 ? this.presence.states.size > 0 : this.presences.length > presenceAt)),
      take: () => {
        const updates = this.updates.slice(at)
        const all = presenceAt < 0 ? this.allPresence() : undefined
        const presence = !wantsPresence ? [] : presenceAt < 0 ? (all ? [all] : []) : this.presences.slice(presenceAt)
        at = this.updates.length
        presenceAt = this.presences.length
        return { updates, presence }
      }
    }
  }
}

/** Takes an answer that will not arrive. */
class Deaf {
  writeHead () { return this }
  setHeader () {}
  write () {}
  end () {}
  on () {}
  off () {}
}

const read = async request => {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const refuse = (response, status, error, headers = {}) => {
  response.writeHead(status, { 'content-type': error ? 'application/json' : 'text/html', ...headers })
  response.end(error ? JSON.stringify({ error: { code: error[0], message: error[1] } }) : '<h1>No</h1>')
}

const offsetOf = number => number.toString(16).padStart(16, '0')

const frame = parts => {
  const encoder = encoding.createEncoder()
  for (const part of parts) encoding.writeVarUint8Array(encoder, part)
  return Buffer.from(encoding.toUint8Array(encoder))
}

export const unframe = bytes => {
  const decoder = decoding.createDecoder(new Uint8Array(bytes))
  const parts = []
  while (decoding.hasContent(decoder)) parts.push(decoding.readVarUint8Array(decoder).slice())
  return parts
}

const message = (type, bytes, step) => {
  const encoder = encoding.createEncoder()
  encoding.writeVarUint(encoder, type)
  if (step !== undefined) encoding.writeVarUint(encoder, step)
  encoding.writeVarUint8Array(encoder, bytes)
  return encoding.toUint8Array(encoder)
}

const denial = reason => {
  const encoder = encoding.createEncoder()
  encoding.writeVarUint(encoder, 2)
  encoding.writeVarUint(encoder, 0)
  encoding.writeVarString(encoder, reason)
  return encoding.toUint8Array(encoder)
}

const clientsOf = update => {
  const decoder = decoding.createDecoder(update)
  const ids = []
  for (let left = decoding.readVarUint(decoder); left > 0; left--) {
    ids.push(decoding.readVarUint(decoder))
    decoding.readVarUint(decoder)
    decoding.readVarString(decoder)
  }
  return ids
}
