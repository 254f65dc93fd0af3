import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { AnyConfigTable } from '@tidelog/core'
import { brokerConfig, shownWhenSet } from './broker-config.ts'
import { groupConfig } from './group-config.ts'

/** Kafka's own lists, a line each: name | type | default | valid values | importance | update mode or synonym. */
const factsOf = (file: string) =>
  readFileSync(new URL(`../../fixtures/configs/${file}`, import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(' | ').map((field) => field.trim()))

/** Where Tidelog starts without a file, and where classes have their full names on the wire. design.md 13. */
const otherDefaults = new Map([
  ['listeners', 'PLAINTEXT://127.0.0.1:9092'],
  ['node.id', '1'],
  ['log.dir', './tidelog-data'],
  ['controller.listener.names', ''],
  ['process.roles', ''],
  ['principal.builder.class', 'org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder'],
  ['sasl.oauthbearer.jwt.retriever.class', 'org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever'],
  ['sasl.oauthbearer.jwt.validator.class', 'org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator'],
])

function checkRows(table: AnyConfigTable, facts: string[][], of: (row: NonNullable<ReturnType<AnyConfigTable['row']>>) => string): void {
  for (const [name = '', type, fallback, valid = '', importance, last = ''] of facts) {
    const row = table.row(name)
    assert.ok(row, name)
    const canonicalDefault = typeof row.defaultText === 'string' ? row.canonical(row.defaultText) : String(row.defaultText)
    const expectedDefault = otherDefaults.get(name) ?? (fallback === '""' ? '' : fallback)
    const expectedValid = /^\[0\.8\.0, /.test(valid) ? 'a version of Kafka' : valid
    assert.deepEqual(
      { name, type: row.type, default: canonicalDefault, valid: row.valid, importance: row.importance, last: of(row) },
      { name, type, default: expectedDefault, valid: expectedValid, importance, last },
    )
    assert.ok(row.doc.endsWith('.'), `${name} has a sentence of documentation`)
  }
}

test('the broker table has exactly the rows of Kafka 4.3 and of 3.9, as Kafka describes them', () => {
  const current = factsOf('broker.txt')
  const older = factsOf('broker-3.9.txt')
  checkRows(brokerConfig, current, ({ update }) => update)
  checkRows(brokerConfig, older, () => '')
  assert.equal(brokerConfig.rows.size, current.length + older.length)
  for (const [name = ''] of older) assert.ok(shownWhenSet.has(name), name)
})

test('the group table has exactly the rows of Kafka 4.3, each with the broker configuration that gives its default', () => {
  const facts = factsOf('group.txt').map((fields) => fields.map((field) => field.replace(/ \|$/, '')))
  checkRows(groupConfig, facts, ({ brokerNames }) => brokerNames.join(','))
  assert.equal(groupConfig.rows.size, facts.length)
})
