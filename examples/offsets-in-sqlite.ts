import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sqlite from 'node-sqlite3-wasm'
import { Consumer, json, Producer, string, type TopicPartition } from 'tidelog'

interface Payment {
  readonly account: string
  readonly amount: number
}

// #region schema
const schema = `
  CREATE TABLE IF NOT EXISTS balances (account TEXT PRIMARY KEY, balance REAL NOT NULL);
  CREATE TABLE IF NOT EXISTS offsets (topic TEXT, partition INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic, partition));
`
// #endregion

// #region consumer
/** Adds payments up until `count` are handled. However often it is killed, each counts once. */
async function addUp(bootstrapServers: string, database: sqlite.Database, count: number): Promise<void> {
  const consumer = new Consumer({
    bootstrapServers,
    groupId: 'balances',
    enableAutoCommit: false,
    autoOffsetReset: 'earliest',
    keyDeserializer: string,
    valueDeserializer: json<Payment>(),
  })
  consumer.subscribe(['payments'], {
    // The database, not the group, knows where each partition goes on.
    onAssigned(partitions) {
      for (const partition of partitions) {
        const next = nextOffset(database, partition)
        if (next !== undefined) consumer.seek(partition, next)
      }
    },
  })
  let handled = 0
  for await (const batch of consumer.batches()) {
    // Results and offset in one transaction: both are there after a crash, or neither.
    database.exec('BEGIN')
    try {
      for (const { value } of batch) {
        if (value === null) continue
        database.run('INSERT INTO balances VALUES (?, ?) ON CONFLICT (account) DO UPDATE SET balance = balance + excluded.balance', [
          value.account,
          value.amount,
        ])
      }
      database.run('INSERT OR REPLACE INTO offsets VALUES (?, ?, ?)', [batch.topic, batch.partition, batch.nextOffset])
      database.exec('COMMIT')
    } catch (error) {
      database.exec('ROLLBACK')
      throw error
    }
    handled += batch.count
    if (handled >= count) break
  }
  await consumer.close()
}

function nextOffset(database: sqlite.Database, { topic, partition }: TopicPartition): number | undefined {
  const row = database.get('SELECT next FROM offsets WHERE topic = ? AND partition = ?', [topic, partition])
  return row === null || row === undefined ? undefined : Number((row as { next: number }).next)
}
// #endregion

export async function keepOffsetsInADatabase(bootstrapServers: string): Promise<void> {
  const path = join(tmpdir(), `tidelog-example-${process.pid}.sqlite`)
  await using producer = new Producer({ bootstrapServers, keySerializer: string, valueSerializer: json<Payment>() })
  const pay = (account: string, amount: number) => producer.send({ topic: 'payments', key: account, value: { account, amount } })
  for (let amount = 1; amount <= 10; amount++) await pay('alice', amount)

  const run = async (count: number) => {
    const database = new sqlite.Database(path)
    try {
      database.exec(schema)
      await addUp(bootstrapServers, database, count)
      return database.get('SELECT balance FROM balances') as { balance: number }
    } finally {
      database.close()
    }
  }
  try {
    assert.deepEqual(await run(10), { balance: 55 })
    // Another process goes on behind what the database has.
    await pay('alice', 100)
    assert.deepEqual(await run(1), { balance: 155 })
  } finally {
    rmSync(path, { force: true })
    rmSync(`${path}.lock`, { force: true, recursive: true })
  }
}
