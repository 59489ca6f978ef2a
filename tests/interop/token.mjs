// Minting what a customer's own backend would mint: JSON Web Tokens, HS256, with node:crypto only.
import { createHmac } from 'node:crypto'

/** A token over `claims`, signed with `secret`; `header` overrides header fields (`kid`, or a wrong `alg`). */
export function mint (secret, claims, header = {}) {
  const signed = part({ alg: 'HS256', typ: 'JWT', ...header }) + '.' + part(claims)
  return signed + '.' + createHmac('sha256', secret).update(signed).digest('base64url')
}

/** Seconds since 1970, `offset` from now: for `exp`. */
export const seconds = offset => Math.floor(Date.now() / 1000) + offset

const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')
