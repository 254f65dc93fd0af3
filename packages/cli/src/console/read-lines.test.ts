import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { readLines } from './read-lines.ts'

async function linesOf(...chunks: (string | Buffer)[]): Promise<string[]> {
  const lines: string[] = []
  for await (const group of readLines(
    Readable.from(
      chunks.map((chunk) => Buffer.from(chunk)),
      { objectMode: false },
    ),
  ))
    lines.push(...group)
  return lines
}

test('lines end with LF, CR LF or CR, also when a chunk ends between the two', async () => {
  assert.deepEqual(await linesOf('a\nb\r\nc\rd\n'), ['a', 'b', 'c', 'd'])
  assert.deepEqual(await linesOf('a\r', '\nb\r', 'c'), ['a', 'b', 'c'])
  assert.deepEqual(await linesOf('a\r'), ['a'])
})

test('empty lines count, the end of the input is no line', async () => {
  assert.deepEqual(await linesOf('\n\na\n'), ['', '', 'a'])
  assert.deepEqual(await linesOf(''), [])
  assert.deepEqual(await linesOf('no end'), ['no end'])
})

test('a character that two chunks share stays whole', async () => {
  const [first, second] = [Buffer.from('ü\n').subarray(0, 1), Buffer.from('ü\n').subarray(1)]
  assert.deepEqual(await linesOf(first!, second!), ['ü'])
})
