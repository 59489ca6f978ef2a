// What a browser tells of the network and of the page. Nothing of it exists in Node.js, and nothing is needed there.

export interface PageEvents {
  networkChanged: () => void
  /** The reader looks at the page again. Its timers may have slept, and its connection may have died. */
  shown: () => void
  /** The page goes, perhaps for good. */
  hidden: () => void
  /** It is back, from the back-forward cache. */
  restored: () => unknown
}

/** Calls back until the returned function is called. */
export const watchPage = ({ networkChanged, shown, hidden, restored }: PageEvents): (() => void) => {
  if (typeof window === 'undefined' || typeof document === 'undefined') return () => {}
  const visible = () => document.hidden || shown()
  const back = (event: PageTransitionEvent) => event.persisted && restored()
  window.addEventListener('online', networkChanged)
  // Not gone for good, perhaps not gone at all: the server may be on this machine.
  window.addEventListener('offline', networkChanged)
  window.addEventListener('pagehide', hidden)
  window.addEventListener('pageshow', back)
  document.addEventListener('visibilitychange', visible)
  return () => {
    window.removeEventListener('online', networkChanged)
    window.removeEventListener('offline', networkChanged)
    window.removeEventListener('pagehide', hidden)
    window.removeEventListener('pageshow', back)
    document.removeEventListener('visibilitychange', visible)
  }
}
