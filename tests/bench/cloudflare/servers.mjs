// The workers that are compared: how each is configured, addressed and asked.
import { fileURLToPath } from 'node:url'

/** What yonder and y-partyserver are each, whatever their settings. Their Durable Objects are named as the documents. */
const ours = {
  ours: true,
  path: doc => `ws/${doc}`,
  saveMs: 600,
  loads: workerd => workerd.call('loaded')
}
const theirs = file => ({
  path: doc => `parties/document/${doc}`,
  config: {
    main: fileURLToPath(new URL(`peers/${file}`, import.meta.url)),
    durable_objects: { bindings: [{ name: 'Document', class_name: 'Document' }] },
    migrations: [{ tag: 'v1', new_sqlite_classes: ['Document'] }] // as Cloudflare gives it to new classes
  }
})

/**
 * A compared worker:
 * - `name`, and `promise`: what it does about storing, which explains a part of its figures;
 * - `config`: what wrangler builds and runs, the path of its configuration or what is in it; `main`: the built worker, if it is
 *   not where that says; `vars`: variables besides;
 * - `path(doc)` of a document's WebSocket;
 * - `saveMs`: how long after an edit it may not have been stored;
 * - `ours`: whether it is yonder;
 * - `loads(workerd)`: how often documents were loaded so far;
 * - `only`: the cases it is for; all, if it is not there.
 */
export const servers = ({ yonder, main }) => [
  {
    key: 'yonder',
    name: 'yonder',
    promise: 'every edit is in the object\'s log within 500 ms (its default), and acknowledged (102) when it is; sockets hibernate',
    config: yonder,
    main,
    vars: { YONDER_INSECURE_OPEN: 'true' },
    ...ours
  },
  {
    key: 'rows',
    name: 'yonder, 10,000 rows',
    promise: 'the same, writing each edit as a row and never compacting: the worst case of a log, which its defaults do not let happen',
    config: yonder,
    main,
    vars: { YONDER_INSECURE_OPEN: 'true', YONDER_COMMIT_INTERVAL_MS: '0', YONDER_COMPACT_UPDATES: '1000000', YONDER_COMPACT_KB: '1000000' },
    ...ours,
    only: ['wake']
  },
  {
    key: 'memory',
    name: 'y-partyserver, in memory',
    promise: 'as it comes: nothing is stored, the object cannot hibernate while anyone is connected',
    ...theirs('memory.js'),
    saveMs: 0,
    only: ['size', 'relay', 'memory']
  },
  {
    key: 'sqlite',
    name: 'y-partyserver, SQLite',
    promise: 'the whole document is written to the object\'s SQLite 2 to 10 s after an edit (its defaults), nothing is acknowledged; with `hibernate: true`',
    ...theirs('sqlite.js'),
    saveMs: 2000,
    loads: async workerd => Number(await (await workerd.fetch('loads')).text())
  }
]
