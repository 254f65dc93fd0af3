import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeMetrics } from '@tidelog/testkit'
import { encodeMetrics } from './otlp.ts'

test('metrics are written as OpenTelemetry has them, byte for byte', () => {
  const point = { attributes: { k: 'v' }, value: 1.5, isInteger: false, startMs: undefined, timeMs: 1 }
  const bytes = encodeMetrics({ l: 'x' }, [{ name: 'n', type: 'gauge', points: [point] }])
  const attribute = '3a 08 0a 01 6b 12 03 0a 01 76'
  const number = '21 00 00 00 00 00 00 f8 3f'
  const time = '19 40 42 0f 00 00 00 00 00'
  const gauge = `2a 1e 0a 1c ${time} ${number} ${attribute}`
  const scope = `12 25 12 23 0a 01 6e ${gauge}`
  const resource = '0a 0a 0a 08 0a 01 6c 12 03 0a 01 78'
  assert.equal(bytes.toString('hex'), `0a 33 ${resource} ${scope}`.replaceAll(' ', ''))
})

test('sums tell since when they count and how; integers, NaN, and names of many bytes are kept', () => {
  const timeMs = 1_700_000_000_001
  const base = { attributes: {}, isInteger: false, startMs: 1_700_000_000_000, timeMs }
  const name = 'ü'.repeat(100)
  const metrics = decodeMetrics(
    encodeMetrics({}, [
      { name, type: 'delta', points: [{ ...base, value: 3, attributes: { topic: name } }] },
      { name: 'b', type: 'cumulative', points: [{ ...base, value: 2 ** 53 }] },
      {
        name: 'c',
        type: 'gauge',
        points: [
          { ...base, startMs: undefined, isInteger: true, value: -1 },
          { ...base, value: Number.NaN, startMs: undefined },
        ],
      },
    ]),
  )
  const [delta = assert.fail(), cumulative = assert.fail(), gauge = assert.fail()] = metrics
  assert.deepEqual([delta.name, delta.type, delta.temporality, delta.isMonotonic], [name, 'sum', 1, true])
  assert.deepEqual([cumulative.type, cumulative.temporality, gauge.type, gauge.temporality], ['sum', 2, 'gauge', 0])
  const times = { startNs: 1_700_000_000_000_000_000n, timeNs: 1_700_000_000_001_000_000n }
  assert.deepEqual(delta.points, [{ attributes: { topic: name }, value: 3, isInteger: false, ...times }])
  assert.equal(cumulative.points[0]!.value, 2 ** 53)
  assert.deepEqual(
    gauge.points.map(({ value, isInteger, startNs }) => [value, isInteger, startNs]),
    [
      [-1, true, 0n],
      [Number.NaN, false, 0n],
    ],
  )
})
