// @y-sweet/client's provider, with @y-sweet/sdk as the application's backend would use it.
import { YSweetProvider } from '@y-sweet/client'
import { DocumentManager } from '@y-sweet/sdk'
import { WebSocket } from 'ws'
import { Transport } from './transport.mjs'

/** The connection string of a host, for `DocumentManager`. */
export const connectionString = (host, token) => `ys://${token === undefined ? '' : encodeURIComponent(token) + '@'}${new URL(host.url).host}`

export class SweetClient extends Transport {
  /** `token`: a token of ours for this one document. `clientToken`: what the backend gave; asked for if neither is there. */
  constructor (host, name, options) {
    super(host, name, options)
    const { token, clientToken, awareness, offlineSupport = false } = options
    const endpoint = async () => {
      if (clientToken) return clientToken
      if (token !== undefined) return clientTokenOf(host, name, token)
      return new DocumentManager(connectionString(host)).getOrCreateDocAndToken(name)
    }
    this.provider = new YSweetProvider(endpoint, name, this.doc, {
      WebSocketPolyfill: WebSocket,
      connect: false,
      showDebuggerLink: false,
      offlineSupport,
      ...(awareness ? { awareness } : {})
    })
    this.awareness = this.provider.awareness
    this.provider.on('connection-close', ({ code, reason }) => this.closes.push({ code, reason }))
    const { receiveMessage } = this.provider
    this.provider.receiveMessage = event => this.watched(() => receiveMessage.call(this.provider, event))
    this.#reconnecting()
  }

  connect () { this.provider.connect() }

  get synced () { return this.provider.status === 'connected' }
  get connected () { return this.provider.wsconnected }
  get stored () { return this.synced && !this.provider.hasLocalChanges }

  get report () {
    const { status, localVersion, ackedVersion, websocket } = this.provider
    return `${status}, socket ${websocket?.readyState}, ${ackedVersion} of ${localVersion} acknowledged; ${super.report}`
  }

  /** In 0.9.1 `disconnect` only makes it connect again, and a loop that is trying goes on: both are held back here. */
  offline () {
    this.provider.connect = async () => {}
    this.provider.attemptToConnect = async () => true
    this.provider.disconnect()
  }

  online () {
    delete this.provider.attemptToConnect
    this.#reconnecting()
    this.provider.setStatus('offline')
    this.connect()
  }

  cut () { this.provider.websocket?.terminate() }

  leave () {
    this.provider.connect = async () => {}
    this.provider.attemptToConnect = async () => true // ends a loop that is trying
    this.provider.destroy()
    this.provider.clearHeartbeat()
    this.provider.clearConnectionTimeout()
    this.provider.setStatus('offline')
    this.provider.reconnectSleeper?.wake()
    this.awareness.destroy()
  }

  /**
   * Each closed socket calls `connect`, which only warns while its loop runs already. If the socket closes in the moment in
   * which the loop has connected and not yet ended, 0.9.1 would stay as it is for ever: here it begins again.
   */
  #reconnecting () {
    const { provider } = this
    const connect = async () => {
      if (provider.isConnecting) return
      do await YSweetProvider.prototype.connect.call(provider)
      while (provider.status === 'error' && provider.connect === connect)
    }
    provider.connect = connect
  }
}

/** What a backend hands out that signs tokens itself. */
export function clientTokenOf (host, name, token) {
  const { host: authority } = new URL(host.url)
  return { url: `ws://${authority}/d/${name}/ws`, baseUrl: `http://${authority}/d/${name}`, docId: name, token }
}
