// Who posts events of a WebSocket is a GRIP proxy only if the signature says so.
import { after } from 'node:test'
import { forged, GRIP_URL, PROXY } from '../../grip/forged.mjs'
import { Spin } from './spin.mjs'

const endings = []
after(async () => { for (const ending of endings) await ending() })
forged(await Spin.up({ after: ending => endings.push(ending) }, { vars: { grip_url: GRIP_URL }, words: ['--allow-outbound', PROXY] }))
