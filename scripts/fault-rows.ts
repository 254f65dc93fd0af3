import { readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { root } from './tidy/sources.ts'

/** Faults and bad input that the broker is tested against, with what must come of each. A test names the rows that it shows at the start of its name. */
const rows: Readonly<Record<string, string>> = {
  P1: 'negative frame length: closed without a reply',
  P2: 'frame longer than socket.request.max.bytes: closed before anything is allocated',
  P3: 'HTTP, TLS or SSH on the Kafka port: closed',
  P4: 'slow senders that declare much: memory for what came, closed when idle',
  P5: 'empty frame, header only, cut header: closed',
  P6: 'unknown API, unknown version: closed',
  P7: 'ApiVersions of an unknown version: version 0 with 35; a bad client name: 42',
  P8: 'lengths and counts that cannot be, in every version of every API: closed, memory in proportion to the frame',
  P9: 'tagged fields without end: closed',
  P10: 'over-long varints, nulls where none may be: closed; clients survive the same',
  P11: 'names that are not UTF-8, NUL: topic 17, group 24, never two byte strings for one key',
  P12: '__proto__, constructor …: names like any other',
  P13: 'topic names that are paths, empty or too long: 17, nothing outside of the log dir',
  P14: 'a.b beside a_b: 17; a name of 249 characters works',
  P15: 'int64 beyond 2^53: never rounded; 1, 32, 42',
  P16: '10,000 pipelined requests, a peer that does not read: in order, bounded, closed',
  P17: 'resets amid requests and answers: nothing leaks, what was appended stays',
  B1: 'wrong CRC: 2, nothing appended',
  B2: 'batch smaller than its header: 2; longer than its data: 87',
  B3: 'magic 0 or 1, no or two batches: 87; zstd below Produce 7: 76',
  B4: 'record count that cannot be: 87',
  B5: 'broken compressed stream, unknown codec: 87',
  B6: 'decompression bombs: 87, off the event loop, bounded',
  B7: 'above max.message.bytes: 10; above segment.bytes: 18',
  B8: 'null key on a compacted topic, control batch of a client: 87; a million headers: bounded',
  B9: 'acks=5: 21; acks=0 with an error: closed',
  B10: 'duplicate batch: its first offset; a gap, older than five: 45; sequences wrap',
  B11: 'older producer epoch: 47; what belongs to a transaction without a transactional id: 53',
  L1: 'kill -9 around a write: acked records are there, others whole or absent',
  L2: 'short write: gone on with, or cut back to the batch before',
  L3: 'kill at any step of a roll: opens, indexes rebuilt',
  L6: 'kill or power cut inside DeleteRecords, retention, topic deletion: nothing that was removed comes back',
  L7: 'kill or power cut inside the writing of a checkpoint: the old or the new one',
  L4: 'kill at any step of compaction: opens with the newest record of every key, nothing deleted returns, offsets stay',
  L8: 'producer snapshots missing, stale or garbage: producers are known all the same',
  L9: 'unclean stop behind a clean one, stop with a failed directory: no mark of a clean stop',
  L10: 'damage in the unflushed tail: cut before the first bad batch, with a line',
  L11: 'a bit flips in an old segment: its reader is told, the verifier reports it, nothing is deleted',
  L12: 'damaged indexes: rebuilt, lookups equal a full scan',
  L13: 'damaged checkpoints: recovered with a warning, nothing deleted',
  L14: 'damaged leader-epoch-checkpoint: rebuilt from the batches',
  L15: 'foreign or damaged meta.properties, damaged partition.metadata: refuses to start, one line',
  L16: 'unknown files and folders: left alone',
  L17: 'disk full, whatever finds it: 56, cut back to whole batches, reads go on, a restart loses nothing',
  L18: 'an fsync fails once: its directory is offline for good, nothing is acked there, the last one stops the broker',
  L19: 'a segment that cannot be read: 56 for its readers, others are served',
  L20: 'one of two log dirs turns read-only: it goes offline alone',
  L22: 'second process in a directory: refused; a lock that kill -9 left: harmless',
  L25: 'names that a power cut loses, renames that outlive the bytes they named: recovered',
  T1: 'the coordinator goes away before or behind the decision, or between markers: the next one carries it out, in every partition or in none',
  T2: 'a producer dies in a transaction: aborted at its timeout, and the last stable offset goes on',
  T3: 'two producers of one transactional id: the older one is fenced, 90, 47 in old versions',
  T4: 'an EndTxn that was held up and arrives in the next transaction: does not touch it (version 2)',
  T5: 'EndTxn repeated: 0; with the other result: 48; while the transaction is being completed: 51; without any: 48',
  T6: 'timeout beyond the limit: 50; another producer id: 49; a batch behind the abort: refused, and the last stable offset goes on',
  T7: 'aborted data across a roll and compaction: never delivered, and its reader gets to the end',
  T8: 'markers of an earlier coordinator: 52; while transactions are loaded: 14; where they are not coordinated: 16',
  T9: 'offsets in a transaction: 22 and 25 for stale generations and members, 88 to readers of stable ones until it is decided',
  G1: 'a consumer is killed: its partitions are delivered again from the last commit, without a gap',
  G2: 'processing longer than max.poll.interval.ms: evicted; a late commit is 25 or 22',
  G3: 'a consumer that was stopped goes on: fenced; a static instance that is there twice: 82',
  G4: 'the coordinator goes away in a join, sync or commit, loads, or cannot append: 14, 15, 16, then it works; no committed offset goes back',
  G5: '200 members that come and go converge; a full group: 81; a bad session timeout: 26; no common protocol: 23; no member id: 79',
  G6: 'commit metadata above 4,096: 12; an empty commit, 100,000 partitions in one: bounded',
  G7: 'a group that is not empty or not there: 68, 69; offsets of a subscribed topic: 86; an empty list deletes nothing',
  G8: 'the offsets topic is compacted while the broker is killed, a record cannot be read: the rest is loaded, what is wrong is reported',
  C1: 'TLS that does not come about (expired, foreign, misnamed or missing certificate, no version in common, a port without TLS or the reverse): every client hears it as a typed error',
  C2: 'connections cut off amid connecting, TLS, a login, a request or an answer: tried again, nothing lost, nothing twice',
  C3: 'wrong password, mechanism that is not offered: an AuthenticationError at once, not asked for again and again, and without the password',
  C4: 'a hostile SASL server (wrong signature, absurd iteration count, nonce that is not ours, no end): refused, at no cost',
  C5: 'sessions that end under load: logged in again ahead of the end, nothing lost, nothing twice',
  C6: 'names without address, dead bootstrap servers, brokers that come back elsewhere: found, or an error within bounded time',
  C7: 'a proxy that is down is tried again, one that refuses the login is an AuthenticationError',
  C8: 'a broker that collects metrics and answers with nonsense, a refusal, or not at all: telemetry waits, pushes less or ends, the client works and closes in time',
  X1: 'the wall clock jumps: what retention would delete for it waits an hour, with a warning',
  X2: 'records of the year 9999, or without a time: the time index is right, retention by age as in Kafka',
  X3: 'thousands of partitions of a thousand topics: start, memory and open files stay bounded',
  X4: 'a million partitions, a fetch of 100,000, a thousand sessions: bounded, others are served',
  X5: 'a handler fails: -1; a log fails or contradicts itself: the broker stops itself, the process lives',
  X6: 'V8 out of heap, killed for its memory: as after kill -9',
  X7: 'SIGTERM under load; bad start: one line, exit code',
}

interface NamedTest {
  readonly ids: readonly string[]
  readonly name: string
  readonly path: string
}

const tiers = [
  ['.test.ts', '`npm test`'],
  ['.fault.ts', '`npm run test:faults`'],
  ['.compat.ts', '`npm run test:interop`'],
] as const

function namedTests(): NamedTest[] {
  return ['packages', 'tests'].flatMap((top) =>
    readdirSync(join(root, top), { recursive: true, encoding: 'utf8' })
      .map((path) => `${top}/${path.split(sep).join('/')}`)
      .filter((path) => tiers.some(([ending]) => path.endsWith(ending)) && !/\/(node_modules|dist)\//.test(path))
      .flatMap((path) =>
        [...readFileSync(join(root, path), 'utf8').matchAll(/\btest\(\s*(['"`])((?:[A-Z]\d+[, ]*)+): (.*?)\1,/g)].map(
          ([, , ids, name]) => ({
            ids: ids!.split(/[, ]+/),
            name: name!,
            path,
          }),
        ),
      ),
  )
}

/** Rows that no test names. */
export function untestedRows(): string[] {
  const tested = new Set(namedTests().flatMap(({ ids }) => ids))
  return Object.keys(rows).filter((id) => !tested.has(id))
}

/** docs/faults.md. */
export function faultsPage(): string {
  const tests = namedTests().sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
  const lines = Object.entries(rows).flatMap(([id, outcome]) => {
    const shown = tests.filter(({ ids }) => ids.includes(id))
    return shown.map(({ name, path }, index) => {
      const tier = tiers.find(([ending]) => path.endsWith(ending))![1]
      const words = name.replaceAll('|', '\\|').replaceAll('$' + '{', '{')
      return `| ${index === 0 ? id : ''} | ${index === 0 ? outcome : ''} | [${path.split('/').at(-1)}](../${path}): ${words} | ${tier} |`
    })
  })
  return `# Faults and bad input

<!-- Written by \`npm run docs\` from scripts/fault-rows.ts and the names of the tests; change those. -->

What must happen when clients, disks and operators misbehave, and the tests that show it. \`npm test\` runs every row in a short form;
\`npm run test:faults\` has brokers of their own under ulimit, strace, kill -9 and thousands of sockets, says what this machine forbids, and with
\`-- --full\` runs as often as the rows ask for. In every row other connections go on, memory is bounded, the event loop is not held up, and no
stack trace reaches a client.

| Row | What must happen | Test | Tier |
| --- | --- | --- | --- |
${lines.join('\n')}
`
}
