// What a JSON Schema says of a value.
import assert from 'node:assert/strict'
import addFormats from 'ajv-formats'
import Ajv from 'ajv/dist/2020.js'

/** Fails unless a value is as the schema says, or as the part of it that a pointer names; the message says what is not. */
export function matches (schema, value, pointer = '#') {
  const ajv = new Ajv({ allErrors: true, allowUnionTypes: true })
  addFormats(ajv)
  const isSo = ajv.addSchema(schema, 'schema').getSchema(`schema${pointer}`)
  assert.ok(isSo(value), ajv.errorsText(isSo.errors, { dataVar: '' }))
}
