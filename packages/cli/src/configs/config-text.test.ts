import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configLine, parseAddedConfigs } from './config-text.ts'

test("a config's line is Kafka's, byte for byte", () => {
  assert.equal(
    configLine({
      name: 'cleanup.policy',
      value: 'compact,delete',
      isSensitive: false,
      synonyms: [
        { source: 'DYNAMIC_TOPIC_CONFIG', name: 'cleanup.policy', value: 'compact,delete' },
        { source: 'DEFAULT_CONFIG', name: 'log.cleanup.policy', value: 'delete' },
      ],
    }),
    '  cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete, DEFAULT_CONFIG:log.cleanup.policy=delete}\n',
  )
  assert.equal(configLine({ name: 'p', value: null, isSensitive: true, synonyms: [] }), '  p=null sensitive=true synonyms={}\n')
})

test('added configs are split at commas outside brackets', () => {
  assert.deepEqual(
    [...parseAddedConfigs('a=1, b=[x,y],c=')],
    [
      ['a', '1'],
      ['b', 'x,y'],
      ['c', ''],
    ],
  )
  assert.deepEqual([...parseAddedConfigs('__proto__=1')], [['__proto__', '1']])
  assert.throws(() => parseAddedConfigs('a'), /^Error: requirement failed: Invalid entity config/)
})
