export { YonderProvider } from './provider.js'
export type { Events, Options } from './provider.js'
export type { Closed, Refused, Status } from './provider.js'
export type { TransportName } from './connection.js'
