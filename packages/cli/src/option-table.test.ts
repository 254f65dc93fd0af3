import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkRequired, describeOptions, flag, list, number, optional, parseOptions, text, UsageError } from './option-table.ts'

const table = {
  'bootstrap-server': text('Where to connect to.', { required: true, value: 'host:port' }),
  'bootstrap-controller': text('The controllers.'),
  topic: text('The topic.'),
  'topic-id': text('Its id.'),
  config: list('A config.'),
  'shift-by': number('How far.'),
  'compression-codec': optional('The codec.'),
  list: flag('List.'),
}

test('a value follows after a blank or an equals sign, and may hold further equals signs', () => {
  const values = parseOptions(table, ['--topic', 'a', '--config', 'x=1', '--config=y=2', '--bootstrap-server=b:1'])
  assert.equal(values.topic, 'a')
  assert.deepEqual(values.config, ['x=1', 'y=2'])
  assert.equal(values['bootstrap-server'], 'b:1')
  assert.equal(values.list, false)
})

test('a name may be cut short as long as it stays unambiguous, and an exact name wins over longer ones', () => {
  assert.equal(parseOptions(table, ['--bootstrap-s', 'b:1'])['bootstrap-server'], 'b:1')
  assert.equal(parseOptions(table, ['--topic', 'a']).topic, 'a')
  assert.equal(parseOptions(table, ['-li']).list, true)
  assert.throws(
    () => parseOptions(table, ['--bootstrap', 'b:1']),
    /bootstrap is ambiguous: it may mean --bootstrap-server, --bootstrap-controller/,
  )
})

test('a required value is taken even when it begins with a dash, an optional one is not', () => {
  assert.equal(parseOptions(table, ['--shift-by', '-10'])['shift-by'], -10)
  const values = parseOptions(table, ['--compression-codec', '--list'])
  assert.equal(values['compression-codec'], '')
  assert.equal(values.list, true)
  assert.equal(parseOptions(table, ['--compression-codec', 'lz4'])['compression-codec'], 'lz4')
})

test('what the table does not allow is a UsageError that names the option', () => {
  const refused: [string[], RegExp][] = [
    [['--bogus'], /^UsageError: bogus is not a recognized option$|bogus is not a recognized option/],
    [['--topic'], /Option topic requires an argument/],
    [['--shift-by', 'x'], /Cannot parse argument 'x' of option shift-by/],
    [['--shift-by', '9007199254740993'], /Cannot parse argument/],
    [['--topic', 'a', '--topic', 'b'], /Found multiple arguments for option topic, but you asked for only one/],
    [['--__proto__', 'x'], /__proto__ is not a recognized option/],
  ]
  for (const [args, message] of refused) {
    assert.throws(
      () => parseOptions(table, args),
      (error: unknown) => error instanceof UsageError && message.test(error.message),
    )
  }
  assert.throws(() => checkRequired(table, parseOptions(table, [])), /Missing required argument "\[bootstrap-server\]"/)
})

test('help lists every option with its value, sorted by name', () => {
  const lines = describeOptions({ topic: text('The topic.', { required: true }), all: flag('All of them.') }).split('\n')
  assert.deepEqual(lines, ['--all           All of them.', '--topic <text>  Required. The topic.', ''])
})
