// What the scenarios of tests/interop are made of, from where they have it: a second yjs would not know the first one's
// documents.
export * as prng from '../../interop/node_modules/lib0/prng.js'
export * as Y from '../../interop/node_modules/yjs/dist/yjs.mjs'
