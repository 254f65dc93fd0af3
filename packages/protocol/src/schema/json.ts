import type { Schema } from './define.ts'
import { type FieldShape, type Fields, isField, isFields, type PrimitiveName, type Shape } from './types.ts'

/**
 * A decoded structure as the text that Kafka's JSON converters give: fields in the order of the schema, those that the version has, tagged ones only
 * where they are not their default; bytes in base64.
 * @param value What the schema's exact codec of that version has read.
 */
export function kafkaJson(schema: Pick<Schema, 'fields'>, version: number, value: unknown): string {
  return structText(schema.fields, version, value as Record<string, unknown>)
}

function structText(fields: Fields, version: number, value: Record<string, unknown>): string {
  const members: string[] = []
  for (const [name, shape] of Object.entries(fields)) {
    if (!isPresent(shape, version, value[name])) continue
    members.push(`${text(name)}:${shapeText(isField(shape) ? shape.of : shape, version, value[name])}`)
  }
  return `{${members.join(',')}}`
}

function isPresent(shape: FieldShape, version: number, value: unknown): boolean {
  if (!isField(shape)) return true
  if (version < shape.from || version > shape.to) return false
  return shape.tag === undefined || !isDefault(shape.of, shape.fallback, version, value)
}

function isDefault(shape: Shape, fallback: unknown, version: number, value: unknown): boolean {
  if (value === null || fallback === null) return value === fallback
  if (fallback !== undefined) return shapeText(shape, version, value) === shapeText(shape, version, fallback)
  if (isFields(shape)) return false
  if (shape.kind === 'array') return (value as unknown[]).length === 0
  if (shape.kind === 'nullable') return isDefault(shape.of, fallback, version, value)
  return shapeText(shape, version, value) === zeros[shape.type]
}

/** The text of each type's default. */
const zeros: Record<PrimitiveName, string> = {
  bool: 'false',
  int8: '0',
  int16: '0',
  uint16: '0',
  int32: '0',
  uint32: '0',
  int64: '0',
  float64: '0.0',
  uuid: '"AAAAAAAAAAAAAAAAAAAAAA"',
  string: '""',
  bytes: '""',
  records: '""',
}

function shapeText(shape: Shape, version: number, value: unknown): string {
  if (value === null) return 'null'
  if (isFields(shape)) return structText(shape, version, value as Record<string, unknown>)
  if (shape.kind === 'nullable') return shapeText(shape.of, version, value)
  if (shape.kind === 'array') return `[${(value as unknown[]).map((element) => shapeText(shape.element, version, element)).join(',')}]`
  switch (shape.type) {
    case 'string':
    case 'uuid':
      return text(value as string)
    case 'bytes':
    case 'records':
      return text(Buffer.from(value as Uint8Array).toString('base64'))
    case 'float64':
      return Number.isInteger(value) ? `${value}.0` : String(value)
    default:
      return String(value)
  }
}

/** Control characters have upper-case digits there. */
function text(value: string): string {
  return JSON.stringify(value).replace(/\\(?:u([0-9a-f]{4})|.)/g, (match, digits?: string) =>
    digits === undefined ? match : `\\u${digits.toUpperCase()}`,
  )
}
