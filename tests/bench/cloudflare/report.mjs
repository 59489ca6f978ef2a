// Results as Markdown and as JSON: the figures of every worker, and the ratios between them.

/** Whether a figure compares workers, and how it is written. */
const UNITS = {
  seconds: { compares: true, show: value => scaled(value, [[1, 's'], [1e-3, 'ms'], [1e-6, 'µs']]) },
  bytes: { compares: true, show: value => scaled(value, [[2 ** 20, 'MiB'], [2 ** 10, 'KiB'], [1, 'B']]) },
  neutral: { compares: false, show: value => UNITS.seconds.show(value) },
  count: { compares: false, show: value => value.toFixed(0) },
  text: { compares: false, show: value => value }
}

export class Report {
  constructor (title, servers) {
    Object.assign(this, { title, servers, rows: [], notes: [] })
  }

  /** Adds the value of one more round; rows stand in the order of their first values. */
  add (load, figure, unit, key, value) {
    this.row(load, figure, unit).values[key].push(value)
  }

  row (load, figure, unit) {
    let row = this.rows.find(row => row.load === load && row.figure === figure)
    if (!row) this.rows.push(row = { load, figure, unit, values: Object.fromEntries(this.servers.map(({ key }) => [key, []])) })
    return row
  }

  /** Adds a sentence below the table, once. */
  note (text) {
    if (!this.notes.includes(text)) this.notes.push(text)
  }

  markdown () {
    const ours = this.servers.filter(({ ours }) => ours)
    const pairs = this.servers.filter(({ ours }) => !ours).flatMap(theirs => ours.map(ours => [ours, theirs]))
    const head = ['load', 'figure', ...this.servers.map(({ name }) => name), ...pairs.map(([ours, theirs]) => `${ours.name} / ${theirs.name}`)]
    const rows = this.rows.map(row => [row.load, row.figure,
      ...this.servers.map(({ key }) => spread(row.values[key], UNITS[row.unit].show)),
      ...pairs.map(([ours, theirs]) => ratio(row, ours.key, theirs.key))])
    return [`## ${this.title}\n`, head, head.map(() => '---'), ...rows]
      .map(line => typeof line === 'string' ? line : `| ${line.join(' | ')} |`).join('\n') +
      '\n' + this.notes.map(note => `\n${note}\n`).join('')
  }

  json () {
    return { title: this.title, rows: this.rows, notes: this.notes }
  }
}

/** Of each round, both halves of which were measured close together. */
function ratio ({ unit, values }, ours, theirs) {
  if (!UNITS[unit].compares) return ''
  const ratios = values[ours].map((value, round) => value / values[theirs][round])
  return spread(ratios, value => value.toFixed(2))
}

/** `median [lowest to highest]`, or only the value where all are written alike. */
function spread (values, show) {
  const kept = values.filter(value => typeof value === 'string' || Number.isFinite(value))
  if (kept.length === 0) return '-'
  const sorted = kept.toSorted((a, b) => a - b)
  const half = Math.floor(sorted.length / 2)
  const median = sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
  const [lowest, highest] = [show(sorted[0]), show(sorted.at(-1))]
  return lowest === highest ? lowest : `**${show(median)}** [${lowest} to ${highest}]`
}

/** The value in the largest unit of which it is at least one, or in the smallest. */
function scaled (value, units) {
  const [size, name] = units.find(([size]) => Math.abs(value) >= size) ?? units.at(-1)
  const digits = Math.abs(value / size) < 10 ? 2 : Math.abs(value / size) < 100 ? 1 : 0
  return `${(value / size).toFixed(digits)} ${name}`
}
