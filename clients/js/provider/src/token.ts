/** A token, or a function that gets one; `undefined` where none is needed. */
export type TokenSource = string | (() => string | undefined | Promise<string | undefined>) | undefined

/** The token in use. A function is asked once, and again when the server refused what it gave. */
export class Token {
  #asked: Promise<string> | undefined

  constructor (private readonly source: TokenSource) {}

  /** "" where there is none. */
  get (): Promise<string> {
    this.#asked ??= this.#ask()
    return this.#asked
  }

  /** After a refusal: whether there is another one to try. */
  async renew (): Promise<boolean> {
    if (typeof this.source !== 'function') return false
    const refused = await this.#asked?.catch(() => undefined)
    this.#asked = undefined
    return await this.get() !== refused
  }

  async #ask (): Promise<string> {
    try {
      const token = typeof this.source === 'function' ? await this.source() : this.source
      return token ?? ''
    } catch (error) {
      // Not remembered: the next attempt asks again.
      this.#asked = undefined
      throw error
    }
  }
}
