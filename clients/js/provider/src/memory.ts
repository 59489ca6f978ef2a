// Which transport worked the last time, for each server, where there is a localStorage.

import type { TransportName } from './connection.js'

const key = (origin: string): string => `yonder-provider:${origin}`

export const remembered = (origin: string, age: number): TransportName | undefined => {
  try {
    const { transport, at } = JSON.parse(localStorage.getItem(key(origin)) ?? '{}')
    return Date.now() - at < age ? transport : undefined
  } catch {
    // No storage, none allowed, or not ours to read.
    return undefined
  }
}

export const remember = (origin: string, transport: TransportName): void => {
  try {
    localStorage.setItem(key(origin), JSON.stringify({ transport, at: Date.now() }))
  } catch {
    // The next page then begins at the top.
  }
}
