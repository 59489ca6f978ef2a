// Loads the probe (src/lib.rs) in either form and speaks its C interface. `PROBES` names cargo's target folder, where
// `cargo xtask test --only wasm` builds it.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { WASI } from 'node:wasi'

export const TARGETS = ['wasm32-unknown-unknown', 'wasm32-wasip1']

const EVERYONE = 0xffff_ffff

/** An import's name without the hash of wasm-bindgen's version in which some end. @param {string} name */
export const unhashed = name => name.replace(/_[0-9a-f]{16}$/, '')

/** The module's bytes. @param {string} target */
export function bytes (target) {
  if (!process.env.PROBES) throw new Error('PROBES must name the folder in which cargo built; use cargo xtask test --only wasm')
  return readFileSync(join(process.env.PROBES, target, 'wasm', 'yonder_wasm_probe.wasm'))
}

/** One room and its host inside a Wasm instance of its own. */
export class Probe {
  /** @param {string} target @param {string[]} may names of imports that this scenario lets be called */
  static load (target, may = []) {
    const module = new WebAssembly.Module(bytes(target))
    const probe = new this()
    if (target.endsWith('wasip1')) {
      const wasi = new WASI({ version: 'preview1', args: [], env: {}, preopens: {} })
      const instance = new WebAssembly.Instance(module, wasi.getImportObject())
      wasi.initialize(instance)
      probe.exports = instance.exports
    } else {
      probe.exports = new WebAssembly.Instance(module, stubs(module, may)).exports
    }
    return probe
  }

  set now (millis) {
    this.exports.set_now(millis)
  }

  open (conn) {
    this.exports.open(conn)
  }

  closed (conn) {
    this.exports.closed(conn)
  }

  /** @param {number} conn @param {Uint8Array | number[]} frame */
  frame (conn, frame) {
    this.#write(Uint8Array.from(frame))
    this.exports.frame(conn)
  }

  /** Lets the store answer; returns how many requests it had. */
  settle () {
    return this.exports.settle()
  }

  rebuild () {
    this.exports.rebuild()
  }

  tick () {
    this.exports.tick()
  }

  /** When the room wants a tick; negative for never. */
  get nextTick () {
    return this.exports.next_tick()
  }

  /** What a GET of this path and query is answered. */
  get (target) {
    this.#write(new TextEncoder().encode(target))
    this.exports.request()
    return this.outputs().at(-1)
  }

  /** A token for a document. */
  mint (doc) {
    this.#write(new TextEncoder().encode(doc))
    this.exports.mint()
    return this.outputs().at(-1).body
  }

  /** The log: the snapshot if there is one, and the updates. */
  get stored () {
    return Array.from({ length: this.exports.stored() }, (_, index) => this.#read(this.exports.read_stored(index)))
  }

  /** What came out since the last call, in order. */
  outputs () {
    const outputs = []
    for (let length = this.exports.next_output(); length > 0; length = this.exports.next_output()) {
      outputs.push(parse(Buffer.from(this.#read(length))))
    }
    return outputs
  }

  #write (bytes) {
    const at = this.exports.input(bytes.length)
    new Uint8Array(this.exports.memory.buffer, at, bytes.length).set(bytes)
  }

  #read (length) {
    const at = this.exports.output()
    return Array.from(new Uint8Array(this.exports.memory.buffer, at, length))
  }
}

/** An output as src/lib.rs describes it. @param {Buffer} bytes */
function parse (bytes) {
  const [kind, conn, body] = [bytes[0], bytes.readUInt32LE(1), bytes.subarray(5)]
  switch (kind) {
    case 1: return { to: conn, frame: [...body] }
    case 2: return { toAllBut: conn === EVERYONE ? undefined : conn, frame: [...body] }
    case 3: return { close: conn, code: body.readUInt16LE(0), reason: body.toString('utf8', 2) }
    case 4: return { status: conn, body: body.toString() }
    default: throw new Error(`an output of kind ${kind}`)
  }
}

/** Imports that must not be called: whichever is, the test sees it. @param {WebAssembly.Module} module @param {string[]} may */
function stubs (module, may) {
  const imports = {}
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    if (kind !== 'function') throw new Error(`imports the ${kind} ${from} ${name}`)
    imports[from] ??= {}
    imports[from][name] = () => {
      if (!may.includes(unhashed(name))) throw new Error(`the core called ${from} ${name}`)
    }
  }
  return imports
}
