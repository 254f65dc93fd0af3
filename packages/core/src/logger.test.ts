import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from './clock.ts'
import { createLogger } from './logger.ts'

const clock: Clock = { now: () => 1_700_000_000_000, monotonic: () => 0, setTimer: () => ({ cancel: () => {} }) }

function captured(options: { format: 'text' | 'json'; level?: 'debug' | 'warn' }) {
  const lines: string[] = []
  return { lines, logger: createLogger({ ...options, clock, destination: { write: (line) => void lines.push(line) } }) }
}

test('a text line has time, level, message and fields', () => {
  const { lines, logger } = captured({ format: 'text' })
  logger.child({ broker: 1 }).info('Opened', { topic: 'a b', bytes: 7n, name: 'x' })
  assert.deepEqual(lines, ['2023-11-14T22:13:20.000Z INFO  Opened broker=1 topic="a b" bytes=7 name=x\n'])
})

test('control characters cannot forge a line or drive a terminal, in either format', () => {
  for (const format of ['text', 'json'] as const) {
    const { lines, logger } = captured({ format })
    logger.warn('client \u001b[31m\r\nINFO forged', { clientId: 'a\u0085b\u007f\u2028', 'na\nme': 1 })
    assert.equal(lines.length, 1)
    const line = lines[0]!
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
    assert.match(line, /^[^\u0000-\u001f\u007f-\u009f\u2028]+\n$/)
    if (format === 'json') assert.equal(JSON.parse(line).clientId, 'a\u0085b\u007f\u2028')
  }
})

test('an error is printed with its stack, indented below its line', () => {
  const { lines, logger } = captured({ format: 'text' })
  logger.error('Failed', { error: new Error('bad\nINFO forged') })
  const rows = lines[0]!.trimEnd().split('\n')
  assert.equal(rows[0], '2023-11-14T22:13:20.000Z ERROR Failed')
  assert.ok(rows.length > 3)
  for (const row of rows.slice(1)) assert.match(row, /^ {4}\S/)
})

test('lines below the level are dropped', () => {
  const { lines, logger } = captured({ format: 'text', level: 'warn' })
  logger.info('no')
  logger.warn('yes')
  assert.equal(lines.length, 1)
})
