// kill -9 of workerd in a storm of edits, by each transport: what was acknowledged is there when it is up again.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { storm, STORMS } from '../interop/kill-storm.mjs'

const KILLS = Number(process.env.KILLS ?? 3)
const COMPACTING = ['--compact-kb', '1', '--compact-updates', '10']

describe(`kill -9 in a storm of edits (KILLS=${KILLS})`, { concurrency: 2 }, () => {
  for (const transport of Object.keys(STORMS)) {
    for (const [what, options] of [['', []], [' while it compacts all the time', COMPACTING]]) {
      test(`by ${transport}${what} loses nothing that was acknowledged`, { timeout: 60_000 + KILLS * 20_000 }, async t => {
        const { acknowledged, lost, written } = await storm({ kills: KILLS, transport, options })
        t.diagnostic(`acknowledged / lost: ${acknowledged} / ${lost} in ${KILLS} kills (${written} written)`)
        assert.equal(lost, 0, `acknowledged / lost: ${acknowledged} / ${lost}`)
        assert.ok(acknowledged >= KILLS * 100, `a storm, not a breeze: ${acknowledged} acknowledged`)
      })
    }
  }
})
