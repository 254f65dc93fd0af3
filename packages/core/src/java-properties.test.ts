import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseProperties } from './java-properties.ts'

const read = (text: string) => Object.fromEntries(parseProperties(text))

test('key and value are separated by =, : or blanks', () => {
  assert.deepEqual(read('a=1\nb:2\nc 3\nd  =  4\ne\t:5\nf\n g = h=i'), { a: '1', b: '2', c: '3', d: '4', e: '5', f: '', g: 'h=i' })
})

test('blank lines and comments are passed over, and a comment does not go on', () => {
  assert.deepEqual(read('# a=1 \\\nb=2\n  ! c=3\n\n\t\nd=4 # not a comment'), { b: '2', d: '4 # not a comment' })
})

test('a line that ends in an odd number of backslashes goes on in the next', () => {
  assert.deepEqual(read('hosts=a,\\\n   b,\\\r\n\tc\nx=1\\\\\ny=2\nlast=z\\'), { hosts: 'a,b,c', x: '1\\', y: '2', last: 'z' })
})

test('escapes stand for themselves or for what Java says', () => {
  assert.deepEqual(read('k\\=e\\:y\\ z=\\ttab\\u00e9\\q\\\\'), { 'k=e:y z': '\ttabéq\\' })
  assert.throws(() => read('a=\\u12g4'), SyntaxError)
})

test('bytes are ISO-8859-1, trailing blanks belong to the value, the later line of one key holds', () => {
  assert.deepEqual(Object.fromEntries(parseProperties(Buffer.from([0x61, 0x3d, 0xe9, 0x20, 0x0a]))), { a: 'é ' })
  assert.deepEqual(read('a=1\na=2'), { a: '2' })
})

test('names such as __proto__ are names like any other', () => {
  assert.deepEqual(
    [...parseProperties('__proto__=1\nconstructor=2')],
    [
      ['__proto__', '1'],
      ['constructor', '2'],
    ],
  )
})
