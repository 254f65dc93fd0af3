import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import {
  boolean,
  ConfigError,
  type ConfigOf,
  configTable,
  double,
  INT64_MAX,
  int,
  list,
  long,
  Password,
  password,
  short,
  string,
} from './index.ts'

const common = { importance: 'low', doc: 'For tests.' } as const
const table = configTable({
  'a.bool': boolean({ default: false, ...common }),
  'a.count': int({ default: 3, min: 1, max: 10, ...common }),
  'a.level': int({ default: -1, min: 1, max: 9, also: -1, ...common }),
  'a.limit': long({ default: INT64_MAX, min: 0, ...common }),
  'a.ratio': double({ default: 0.5, min: 0, max: 1, ...common }),
  'a.short': short({ default: 1, ...common }),
  'a.mode': string({ default: 'fast', of: ['fast', 'safe'], ...common }),
  'a.loose': string({ default: 'ES256', of: ['ES256', 'RS256'], ignoreCase: true, ...common }),
  'a.list': list({ default: ['x'], of: ['x', 'y'], ...common }),
  'a.full': list({ default: ['x'], nonEmpty: true, ...common }),
  'a.secret': password({ default: null, check: (text) => (text === 'bad' ? 'too easy' : undefined), ...common }),
  'a.unset': int({ default: null, ...common }),
  'a.needed': int({ ...common }),
})

function refusal(name: string, text?: string): string {
  try {
    table.parse(name as 'a.bool', text)
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    assert.equal(error.configName, name)
    return error.message
  }
  assert.fail(`${name}=${text} was taken`)
}

test('every value has its default, and its type by name', () => {
  const values: ConfigOf<typeof table> = table.resolve((name) => (name === 'a.needed' ? '7' : undefined))
  const mode: 'fast' | 'safe' = values['a.mode']
  const unset: number | null = values['a.unset']
  const items: ('x' | 'y')[] = values['a.list']
  assert.deepEqual([mode, unset, items, values['a.bool'], values['a.needed']], ['fast', null, ['x'], false, 7])
})

test('texts are trimmed and read as Kafka reads them', () => {
  assert.equal(table.parse('a.bool', ' TRUE '), true)
  assert.equal(table.parse('a.count', ' +4 '), 4)
  assert.equal(table.parse('a.ratio', '1e-1'), 0.1)
  assert.equal(table.parse('a.loose', 'rs256'), 'RS256')
  assert.deepEqual(table.parse('a.list', ' x , y,x '), ['x', 'y'])
  assert.deepEqual(table.parse('a.list', ''), [])
})

test('a value that does not fit is refused in the words of Kafka 4.3', () => {
  assert.equal(refusal('a.count', '0'), 'Invalid value 0 for configuration a.count: Value must be at least 1')
  assert.equal(refusal('a.count', ' 11'), 'Invalid value 11 for configuration a.count: Value must be no more than 10')
  assert.equal(refusal('a.count', 'x'), 'Invalid value x for configuration a.count: Not a number of type INT')
  assert.equal(refusal('a.count', '99999999999'), 'Invalid value 99999999999 for configuration a.count: Not a number of type INT')
  assert.equal(refusal('a.short', '32768'), 'Invalid value 32768 for configuration a.short: Not a number of type SHORT')
  assert.equal(refusal('a.limit', '1.5'), 'Invalid value 1.5 for configuration a.limit: Not a number of type LONG')
  assert.equal(refusal('a.level', '0'), 'Invalid value 0 for configuration a.level: Value must be between 1 and 9 or equal to -1')
  assert.equal(refusal('a.ratio', '2'), 'Invalid value 2.0 for configuration a.ratio: Value must be no more than 1')
  assert.equal(refusal('a.ratio', 'NaN'), 'Invalid value NaN for configuration a.ratio: Not a number of type DOUBLE')
  assert.equal(refusal('a.bool', 'yes'), 'Invalid value yes for configuration a.bool: Expected value to be either true or false')
  assert.equal(refusal('a.mode', 'slow'), 'Invalid value slow for configuration a.mode: String must be one of: fast, safe')
  assert.equal(refusal('a.list', 'z'), 'Invalid value z for configuration a.list: String must be one of: x, y')
  assert.equal(refusal('a.list', 'x,,y'), "Configuration 'a.list' values must not be empty.")
  assert.equal(refusal('a.full', ' '), "Configuration 'a.full' must not be empty.")
  assert.equal(refusal('a.needed'), 'Missing required configuration "a.needed" which has no default value.')
  assert.equal(refusal('a.nope', '1'), 'Unknown configuration a.nope')
  assert.equal(refusal('__proto__', '1'), 'Unknown configuration __proto__')
})

test('a long keeps its exact text, and its value stops at 2^53−1', () => {
  assert.equal(table.canonical('a.limit', '9223372036854775807'), '9223372036854775807')
  assert.equal(table.canonical('a.limit', '+009007199254740993'), '9007199254740993')
  assert.equal(table.parse('a.limit', '9223372036854775807'), Number.MAX_SAFE_INTEGER)
  assert.equal(table.parse('a.limit', '9007199254740993'), Number.MAX_SAFE_INTEGER)
  assert.equal(table.row('a.limit')?.defaultText, '9223372036854775807')
  assert.equal(
    refusal('a.limit', '9223372036854775808'),
    'Invalid value 9223372036854775808 for configuration a.limit: Not a number of type LONG',
  )
})

test('doubles print as Java prints them', () => {
  const row = double({ default: Number.MAX_VALUE, ...common })
  const printed = (text: string) => row.canonical(text)
  assert.equal(row.defaultText, '1.7976931348623157E308')
  assert.deepEqual(['1', '0.5', '10000000', '0.0001', '-2.50', '0', '1234567.5'].map(printed), [
    '1.0',
    '0.5',
    '1.0E7',
    '1.0E-4',
    '-2.5',
    '0.0',
    '1234567.5',
  ])
})

test('a secret prints as hidden wherever it goes', () => {
  const secret = table.parse('a.secret', 'hunter2')
  assert.ok(secret instanceof Password)
  assert.equal(secret.reveal(), 'hunter2')
  for (const printed of [
    `${secret}`,
    JSON.stringify({ secret }),
    inspect(secret),
    inspect({ deep: { secret } }, { showHidden: true }),
    refusal('a.secret', 'bad'),
  ])
    assert.ok(!/hunter2|bad/.test(printed) && /hidden/.test(printed), printed)
})

test('the reference says what is valid', () => {
  const valid = (name: string) => table.row(name)?.valid
  assert.deepEqual(['a.count', 'a.level', 'a.limit', 'a.mode', 'a.loose', 'a.bool'].map(valid), [
    '[1,...,10]',
    '[1,...,9] or -1',
    '[0,...]',
    '[fast, safe]',
    '(case insensitive) [ES256, RS256]',
    '',
  ])
})
