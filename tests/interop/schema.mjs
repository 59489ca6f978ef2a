// As much of JSON Schema as a description of a result needs.
import assert from 'node:assert/strict'

const TYPES = {
  object: value => typeof value === 'object' && value !== null && !Array.isArray(value),
  array: Array.isArray,
  string: value => typeof value === 'string',
  number: value => typeof value === 'number',
  integer: Number.isInteger,
  null: value => value === null
}

/** Fails unless a value is as the schema says; the message begins with the path to what is not. */
export function matches (schema, value, at = '', root = schema) {
  const holds = (condition, what) => assert.ok(condition, `${at}: ${what}; it is ${JSON.stringify(value)?.slice(0, 200)}`)
  const below = (part, key, inner) => matches(part, inner, at === '' ? `${key}` : `${at}.${key}`, root)
  for (const [word, said] of Object.entries(schema)) {
    if (word === '$ref') matches(root.$defs[said.replace('#/$defs/', '')], value, at, root)
    else if (word === 'type') holds([said].flat().some(type => TYPES[type](value)), `type ${said}`)
    else if (word === 'const') holds(value === said, `const ${said}`)
    else if (word === 'enum') holds(said.includes(value), `one of ${said}`)
    else if (word === 'minimum') holds(typeof value !== 'number' || value >= said, `minimum ${said}`)
    else if (word === 'exclusiveMinimum') holds(typeof value !== 'number' || value > said, `above ${said}`)
    else if (word === 'minItems') holds(value.length >= said, `minItems ${said}`)
    else if (word === 'anyOf') holds(said.some(part => fits(part, value, root)), 'any of several')
    else if (word === 'format') holds(value === null || !Number.isNaN(Date.parse(value)), `format ${said}`)
    else if (word === 'required') for (const key of TYPES.object(value) ? said : []) holds(key in value, `required ${key}`)
    else if (word === 'propertyNames') for (const key of Object.keys(value)) below(said, key, key)
    else if (word === 'prefixItems') for (const [n, part] of said.entries()) below(part, n, value[n])
    else if (word === 'items' && said !== false) for (const [n, inner] of value.entries()) below(said, n, inner)
    else if (word === 'items') holds(value.length <= schema.prefixItems.length, 'no more items')
    else if (word === 'properties') { for (const [key, part] of Object.entries(said)) if (value !== null && key in value) below(part, key, value[key]) }
    else if (word === 'additionalProperties' && value !== null) {
      for (const key of Object.keys(value).filter(key => !(key in (schema.properties ?? {})))) {
        holds(said !== false, `no property ${key}`)
        below(said, key, value[key])
      }
    } else assert.ok(['$schema', '$defs', 'title', 'description', 'examples', 'additionalProperties'].includes(word), `${word} is not known here`)
  }
}

function fits (schema, value, root) {
  try {
    matches(schema, value, '', root)
    return true
  } catch {
    return false
  }
}
