// y-websocket's provider, as a browser tab runs it, with `ws` for its socket.
import { WebSocket } from 'ws'
import { WebsocketProvider } from 'y-websocket'
import { encoded } from './host.mjs'
import { Transport } from './transport.mjs'

export class WebsocketClient extends Transport {
  constructor (host, name, options) {
    super(host, name, options)
    const { token, awareness } = options
    this.provider = new WebsocketProvider(host.ws, encoded(name), this.doc, {
      WebSocketPolyfill: WebSocket,
      disableBc: true, // tabs of one process would otherwise talk past the server
      maxBackoffTime: 400,
      params: token === undefined ? {} : { token },
      connect: false,
      ...(awareness ? { awareness } : {})
    })
    this.awareness = this.provider.awareness
    this.provider.on('connection-close', event => { if (event) this.closes.push({ code: event.code, reason: event.reason }) })
    this.provider.messageHandlers = this.provider.messageHandlers.map(handler => (...args) => this.watched(() => handler(...args)))
  }

  connect () { this.provider.connect() }

  get synced () { return this.provider.synced }
  get connected () { return this.provider.wsconnected }

  /** Goes offline as a user without network does: the document stays open. */
  offline () { this.provider.disconnect() }

  online () { this.provider.connect() }

  /** The socket, if there is one, is cut without a close frame; the provider comes back by itself. */
  cut () { this.provider.ws?.terminate() }

  leave () {
    this.provider.destroy()
    this.awareness.destroy() // its timer would outlive it
  }
}
