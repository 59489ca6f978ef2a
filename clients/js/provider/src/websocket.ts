// y-protocols over a WebSocket, with y-sweet's message 102: the server sends it back once all that we had is stored.

import { createDecoder, hasContent, readVarUint, readVarUint8Array } from 'lib0/decoding'
import { createEncoder, toUint8Array, writeVarUint, writeVarUint8Array } from 'lib0/encoding'
import { readAuthMessage } from 'y-protocols/auth'
import { messageYjsSyncStep1, messageYjsSyncStep2, messageYjsUpdate } from 'y-protocols/sync'
import { decodeStateVector, encodeStateAsUpdate, encodeStateVector, type Doc } from 'yjs'
import type { Connection, Failure, Listener } from './connection.js'
import { ownPresence, ownRemoval, receive, receivePresence, type Context } from './context.js'

const SYNC = 0
const AWARENESS = 1
const AUTH = 2
const QUERY_AWARENESS = 3
const SAVED = 102

export class WebSocketConnection implements Connection {
  readonly name = 'websocket'
  #socket: WebSocket | undefined
  #closed = false
  #synced = false
  #begun = false
  /** The server's step 1 is answered: edits up to #sent are with it. */
  #answered = false
  #sent = 0
  /** A 102 is on its way; it is not sent twice at once. */
  #asking = false
  #denial = ''
  #deadline: ReturnType<typeof setTimeout> | undefined

  constructor (private readonly context: Context, private readonly listener: Listener) {
    void this.#open()
  }

  async begin (): Promise<void> {
    this.#begun = true
    this.#forgetOffset()
    this.announce()
    this.push()
  }

  push (): void {
    if (!this.#begun || !this.#answered) return
    const { outbox } = this.context
    for (const update of outbox.since(this.#sent)) this.#send(SYNC, update, messageYjsUpdate)
    this.#sent = outbox.version
    if (outbox.unsaved > 0) this.#ask()
  }

  announce (): void {
    const presence = this.#begun ? ownPresence(this.context) : undefined
    if (presence) this.#send(AWARENESS, presence)
  }

  check (): void {
    if (this.#synced) this.#ping(this.context.timing.quickPong)
  }

  leave (): void {
    const removal = this.#begun ? ownRemoval(this.context) : undefined
    if (removal) this.#send(AWARENESS, removal)
  }

  close (): void {
    this.#closed = true
    clearTimeout(this.#deadline)
    const socket = this.#socket
    if (!socket) return
    socket.onopen = socket.onmessage = socket.onclose = null
    // A socket that is closed before it opened reports an error, which in Node must not go unheard.
    socket.onerror = () => {}
    try {
      socket.close()
    } catch {
      // It is gone already.
    }
  }

  async #open (): Promise<void> {
    try {
      const token = await this.context.token.get()
      if (this.#closed) return
      const { WebSocket, socketUrl, timing } = this.context
      if (!WebSocket) throw new Error('this runtime has no WebSocket, and no WebSocketPolyfill was given')
      const socket = new WebSocket(token ? `${socketUrl}?token=${encodeURIComponent(token)}` : socketUrl)
      this.#socket = socket
      socket.binaryType = 'arraybuffer'
      socket.onopen = () => {
        this.#send(SYNC, encodeStateVector(this.context.doc), messageYjsSyncStep1)
        // One that opens is not yet one that works.
        this.#expect(timing.handshake, 'the WebSocket opened, but nothing came')
      }
      socket.onmessage = event => this.#receive(event.data)
      // `close` follows, with what there is to know.
      socket.onerror = () => {}
      socket.onclose = event => this.#lose(this.#failure(event))
      this.#expect(timing.handshake, 'the WebSocket did not open')
    } catch (cause) {
      this.#lose({ reason: messageOf(cause), code: 0, cause })
    }
  }

  #receive (data: unknown): void {
    this.#listen()
    if (typeof data === 'string') return
    try {
      const decoder = createDecoder(new Uint8Array(data as ArrayBuffer))
      while (hasContent(decoder)) {
        switch (readVarUint(decoder)) {
          case SYNC:
            this.#sync(readVarUint(decoder), readVarUint8Array(decoder))
            break
          case AWARENESS:
            receivePresence(this.context, [readVarUint8Array(decoder)])
            break
          case AUTH:
            readAuthMessage(decoder, this.context.doc, (_doc, reason) => this.#deny(reason))
            break
          case QUERY_AWARENESS:
            this.announce()
            break
          case SAVED:
            this.#saved(readVarUint(createDecoder(readVarUint8Array(decoder))))
            break
          default:
            // Of what we do not know we cannot tell where it ends.
            return
        }
      }
    } catch (cause) {
      this.#lose({ reason: `the server sent something unreadable: ${messageOf(cause)}`, code: 0, cause })
    }
  }

  #sync (step: number, bytes: Uint8Array): void {
    const { context } = this
    if (step === messageYjsSyncStep1) {
      this.#answer(bytes)
      return
    }
    receive(context, [bytes])
    // An empty document has an update of two bytes. One that is not empty is stored.
    if (bytes.length > 2) context.log.exists = true
    if (step !== messageYjsSyncStep2 || this.#synced) return
    this.#synced = true
    if (this.#denial) this.#tellDenied()
    this.listener.synced()
  }

  /** Sends what the server lacks, edits made before this connection included. */
  #answer (stateVector: Uint8Array): void {
    const { doc, outbox } = this.context
    const lacking = encodeStateAsUpdate(doc, stateVector)
    // It has lost what it had stored, as when it was set back to a backup.
    if (outbox.unsaved === 0 && lacks(stateVector, doc)) outbox.cover(lacking)
    this.#send(SYNC, lacking, messageYjsSyncStep2)
    this.#sent = outbox.version
    this.#answered = true
    if (outbox.unsaved > 0) this.#ask()
    this.push()
  }

  #deny (reason: string): void {
    this.#denial = reason
    // It may be the document itself that is denied: then the socket closes.
    if (this.#synced) this.#tellDenied()
  }

  #tellDenied (): void {
    setTimeout(() => this.#closed || this.listener.denied(this.#denial, 4403), this.context.timing.denial)
  }

  #saved (version: number): void {
    this.#asking = false
    const { outbox, log } = this.context
    if (this.#denial) return
    outbox.acknowledge(version)
    this.#forgetOffset()
    if (version > 0) log.exists = true
    if (outbox.unsaved > 0 && this.#sent > version) this.#ask()
  }

  /** What is stored by way of a WebSocket has no offset: whoever uses one next compares the whole document. */
  #forgetOffset (): void {
    delete this.context.log.offset
  }

  /** Has the server say when all is stored that we sent. */
  #ask (): void {
    if (this.#asking) return
    this.#asking = true
    const encoder = createEncoder()
    writeVarUint(encoder, this.#sent)
    this.#send(SAVED, toUint8Array(encoder))
  }

  /** Waits for the next sign of life, and asks for one after a while. */
  #listen (): void {
    const { timing } = this.context
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(() => this.#ping(timing.pong), timing.ping)
  }

  #ping (patience: number): void {
    this.#asking = false
    this.#ask()
    this.#expect(patience, 'the connection is silent')
  }

  #expect (patience: number, otherwise: string): void {
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(() => this.#lose({ reason: otherwise, code: 0, hung: !this.#synced }), patience)
  }

  #send (type: number, bytes: Uint8Array, step?: number): void {
    const socket = this.#socket
    if (!socket || socket.readyState !== socket.OPEN) return
    const encoder = createEncoder()
    writeVarUint(encoder, type)
    if (step !== undefined) writeVarUint(encoder, step)
    writeVarUint8Array(encoder, bytes)
    socket.send(toUint8Array(encoder) as Uint8Array<ArrayBuffer>)
  }

  #failure ({ code, reason }: CloseEvent): Failure {
    const failure: Failure = { code, reason: reason || this.#denial || `the WebSocket closed (code ${code})` }
    if (code === 4401) return { ...failure, refused: 'token' }
    if (code === 4404 || code === 4410) return { ...failure, refused: 'gone' }
    if (code >= 4400 && code < 4500) return { ...failure, refused: 'other' }
    if (this.#denial && !this.#synced) return { ...failure, code: 4403, refused: 'other' }
    return code === 1013 || (code >= 4500 && code < 4600) ? { ...failure, busy: true } : failure
  }

  #lose (failure: Failure): void {
    if (this.#closed) return
    this.close()
    this.listener.lost(failure)
  }
}

/** Whether a document has insertions that this state vector has not. */
const lacks = (stateVector: Uint8Array, doc: Doc): boolean => {
  const theirs = decodeStateVector(stateVector)
  const ours = decodeStateVector(encodeStateVector(doc))
  return [...ours].some(([client, clock]) => (theirs.get(client) ?? 0) < clock)
}

const messageOf = (error: unknown): string => error instanceof Error ? error.message : String(error)
