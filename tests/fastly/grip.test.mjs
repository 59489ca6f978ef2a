// Who posts events of a WebSocket is Fanout only if the signature says so.
import { after } from 'node:test'
import { forged, GRIP_URL } from '../grip/forged.mjs'
import { up } from './fastly.mjs'

const endings = []
after(async () => { for (const ending of endings) await ending() })
forged(await up({ after: ending => endings.push(ending) }, { words: ['--no-fanout'], vars: { grip_url: GRIP_URL } }))
